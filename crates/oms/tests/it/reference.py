"""Runs the reference implementation: for each request, a line of JSON, one line of JSON with its outcome.

Its command line does not know shards: these go through its library.
"""

import contextlib
import io
import json
import pathlib
import sys

from model_signing import _cli, hashing, signing, verifying


def shards(verb, model, signature, arguments):
    if verb == "sign":
        config = hashing.Config().use_shard_serialization(shard_size=arguments["shard_bytes"])
        config.set_ignored_paths(paths=[signature])
        signer = signing.Config().use_elliptic_key_signer(private_key=pathlib.Path(arguments["key"]))
        signer.set_hashing_config(config).sign(model, signature)
    else:
        verifier = verifying.Config().use_elliptic_key_verifier(public_key=pathlib.Path(arguments["key"]))
        verifier.verify(model, signature)


def outcome(request):
    words = io.StringIO()
    with contextlib.redirect_stdout(words), contextlib.redirect_stderr(words):
        try:
            if "cli" in request:
                _cli.main(request["cli"], standalone_mode=False)
            else:
                model, signature = (pathlib.Path(request[name]) for name in ("model", "signature"))
                shards(request["verb"], model, signature, request)
            fine = True
        except SystemExit as exit:
            fine = not exit.code
        except Exception as error:
            fine = False
            print(error, file=words)
    return {"fine": fine, "words": words.getvalue()}


for line in sys.stdin:
    print(json.dumps(outcome(json.loads(line))), flush=True)
