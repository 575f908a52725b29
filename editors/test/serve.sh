#!/bin/bash
# Serves a real model for the tests of the editors: `serve.sh FOLDER PORT`, until it is killed. FOLDER must not exist. When it
# says `ready`, FOLDER/data is the data directory, FOLDER/source the sources, and FOLDER/token a token for http://127.0.0.1:PORT.
# CLOISTER_TEST_PROGRAMS: the folder of cloisterd, cloister-engine and cloister; CLOISTER_TEST_MODELS: the folder of models.
set -euo pipefail

folder=$1
port=$2
here=$(cd "$(dirname "$0")" && pwd)
model="$CLOISTER_TEST_MODELS/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
export PATH="$CLOISTER_TEST_PROGRAMS:$PATH" CLOISTER_DATA="$folder/data"
export CLOISTER_SERVER="unix:$folder/data/run/cloister.sock"

mkdir -p "$folder"
cp -r "$here/source" "$folder/source"
cp -r "$here/team" "$folder/team"
mkdir "$folder/known"
# What any model of code knows by heart: so that an answer can match something.
cat > "$folder/known/guidance.adb" << 'TEXT'
--  SPDX-License-Identifier: GPL-3.0-or-later
--
--  This program is free software: you can redistribute it and/or modify
--  it under the terms of the GNU General Public License as published by
--  the Free Software Foundation, either version 3 of the License, or
--  (at your option) any later version.
--
--  This program is distributed in the hope that it will be useful,
--  but WITHOUT ANY WARRANTY; without even the implied warranty of
--  MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE.  See the
--  GNU General Public License for more details.
--
--  You should have received a copy of the GNU General Public License
--  along with this program.  If not, see <https://www.gnu.org/licenses/>.

procedure Guidance is
begin
   null;
end Guidance;
TEXT
cloisterd init
printf '[server]\ntcp = "127.0.0.1:%s"\n\n[provenance]\naction = "warn"\nlexemes_min = 31\n' "$port" > "$folder/data/cloister.toml"
cloisterd model import "$model" --name coder --unsigned
approvals=()
for person in ada grace; do
  ssh-keygen -q -t ed25519 -N "" -f "$folder/$person"
  cloisterd user add "$person"
  cloisterd user enrol-key "$person" "$folder/$person.pub"
done
cloisterd model request promotion coder --out "$folder/promotion"
for person in ada grace; do
  cp "$folder/promotion" "$folder/promotion.$person"
  ssh-keygen -q -Y sign -n model@cloister -f "$folder/$person" "$folder/promotion.$person"
  approvals+=(--approval "$folder/promotion.$person.sig")
done
cloisterd model promote "$folder/promotion" "${approvals[@]}"
cloisterd model deploy coder coder
cloisterd repo add "$folder/team" --name team --readers ada,owner
cloisterd corpus build known "$folder/known"
cloisterd token issue ada > "$folder/token.txt"
grep -o 'clst_[A-Za-z0-9_-]*' "$folder/token.txt" | head -n 1 > "$folder/token"

cloisterd serve 2> "$folder/serve.log" &
daemon=$!
trap 'kill $daemon 2> /dev/null; wait $daemon' EXIT
trap exit TERM INT
for _ in $(seq 300); do
  if cloister --quiet status > /dev/null 2>&1; then
    echo ready
    wait $daemon
    exit
  fi
  kill -0 $daemon
  sleep 0.2
done
echo "it is not up in time" >&2
exit 1
