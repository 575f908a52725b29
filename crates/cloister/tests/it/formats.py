"""Other people's readers of what the command writes; and one of Git AI's notes, written from the standard's text.

A request is a line of JSON on standard input; the answer is a line: {"fine": true, ...}, or {"fine": false, "words": ...}.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
from check_jsonschema.builtin_schemas import get_builtin_schema
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from ruamel.yaml import YAML
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey


def envelope(request):
    """A DSSE envelope by securesystemslib, its in-toto statement by in-toto-attestation."""
    read = json.loads(Path(request["file"]).read_bytes())
    key = load_pem_public_key(Path(request["key"]).read_bytes())
    key = SSlibKey.from_crypto(key, keyid=read["signatures"][0]["keyid"])
    opened = Envelope.from_dict(read)
    opened.verify([key], 1)
    assert opened.payload_type == "application/vnd.in-toto+json", opened.payload_type
    statement = json_format.Parse(opened.payload, statement_pb2.Statement())
    Statement.copy_from_pb(statement).validate()
    return {"statement": json.loads(opened.payload)}


def schema(request):
    """A document against a schema of a file."""
    jsonschema.validate(
        json.loads(Path(request["file"]).read_bytes()), json.loads(Path(request["schema"]).read_bytes())
    )
    return {}


def cyclonedx(request):
    """A bill of materials against the schema of its version."""
    text = Path(request["file"]).read_text()
    version = SchemaVersion.from_version(json.loads(text)["specVersion"])
    wrong = JsonStrictValidator(version).validate_str(text)
    assert wrong is None, str(wrong)
    return {}


def workflow(request):
    """A file of a forge against the forge's own schema."""
    document = YAML(typ="safe").load(Path(request["file"]).read_text())
    jsonschema.validate(document, get_builtin_schema("vendor." + request["schema"]))
    return {"document": json.loads(json.dumps(document, default=str))}


def note(request):
    """A commit's note in refs/notes/ai, version 3.

    Attestations: a path on a line, in quotes where white space is in it; beneath it, indented by two spaces, keys with
    ranges of lines, single numbers and FIRST-LAST, separated by commas. Then a line `---`, then JSON.
    """
    git = ["git", "-C", request["repository"], "notes", "--ref=ai", "show", "HEAD"]
    text = subprocess.run(git, check=True, capture_output=True, text=True).stdout
    attestations, found, metadata = text.partition("---\n")
    assert found, "no divider"
    metadata = json.loads(metadata)
    assert re.fullmatch(r"authorship/3\.\d+\.\d+", metadata["schema_version"]), metadata
    assert isinstance(metadata["prompts"], dict)
    files = {}
    for line in attestations.splitlines():
        if not line.startswith("  "):
            path = line[1:-1] if line.startswith('"') else line
            files[path] = {}
            continue
        key, ranges = line[2:].split(" ")
        session = re.fullmatch(r"(s_[0-9a-f]{14})::(t_[0-9a-f]{14})", key)
        assert session, key
        agent = metadata["sessions"][session[1]]["agent_id"]
        assert agent["tool"] and agent["id"] and agent["model"], agent
        lines = []
        for part in ranges.split(","):
            assert re.fullmatch(r"[1-9]\d*(-[1-9]\d*)?", part), part
            first, _, last = part.partition("-")
            lines.extend(range(int(first), int(last or first) + 1))
        assert lines == sorted(set(lines)), lines
        files[path][key] = lines
    return {"files": files, "base": metadata["base_commit_sha"]}


def agent_trace(request):
    """A record by the table of Agent Trace 0.1.0: what must be there, what may be, and nothing else."""
    record = json.loads(Path(request["file"]).read_bytes())
    text = {"type": "string"}
    line = {"type": "integer", "minimum": 1}

    def of(required, **properties):
        return {
            "type": "object",
            "required": required,
            "properties": properties,
            "additionalProperties": False,
        }

    def many(items):
        return {"type": "array", "items": items}

    kinds = {"enum": ["human", "ai", "mixed", "unknown"]}
    contributor = of(["type"], type=kinds, model_id={"type": "string", "maxLength": 250})
    lines = of(
        ["start_line", "end_line"], start_line=line, end_line=line, content_hash=text, contributor=contributor
    )
    uri = {"type": "string", "format": "uri"}
    conversation = of(["ranges"], url=uri, contributor=contributor, ranges=many(lines))
    uuid = {
        "type": "string",
        "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
    }
    whole = of(
        ["version", "id", "timestamp", "files"],
        version={"const": "0.1.0"},
        id=uuid,
        timestamp={"type": "string", "format": "date-time"},
        vcs=of(["type", "revision"], type={"const": "git"}, revision={"pattern": "^[0-9a-f]{40}$"}),
        tool=of(["name", "version"], name=text, version=text),
        files=many(of(["path", "conversations"], path=text, conversations=many(conversation))),
        metadata={"type": "object"},
    )
    jsonschema.validate(record, whole, format_checker=jsonschema.FormatChecker())
    return {"record": record}


ANSWERS = {
    "envelope": envelope,
    "schema": schema,
    "cyclonedx": cyclonedx,
    "workflow": workflow,
    "note": note,
    "agent_trace": agent_trace,
}

request = json.loads(sys.stdin.readline())
try:
    print(json.dumps({"fine": True, **ANSWERS[request["of"]](request)}))
except Exception as error:
    print(json.dumps({"fine": False, "words": f"{type(error).__name__}: {error}"}))
