"""Drives `cloister lsp` with pytest-lsp's client: arguments are the program, the server's address and a folder.

Prints what it saw as JSON.
"""

import asyncio
import json
import pathlib
import sys

from lsprotocol import types
from pytest_lsp import LanguageClient, make_test_lsp_client

STACK = """package body Stacks is
   procedure Push (S : in out Stack; Item : Integer) is
   begin
      S.Top := S.Top + 1;
      S.Items (S.Top) := Item;
   end Push;

   procedure Pop (S : in out Stack; Item : out Integer) is
   begin

   end Pop;
end Stacks;
"""


async def main(program: str, server: str, folder: str) -> dict:
    client: LanguageClient = make_test_lsp_client()
    await client.start_io(program, "--server", server, "lsp")
    capabilities = types.ClientCapabilities(
        general=types.GeneralClientCapabilities(position_encodings=[types.PositionEncodingKind.Utf16]),
        text_document=types.TextDocumentClientCapabilities(
            inline_completion=types.InlineCompletionClientCapabilities()
        ),
        window=types.WindowClientCapabilities(work_done_progress=True),
    )
    hello = await client.initialize_session(
        types.InitializeParams(
            capabilities=capabilities,
            client_info=types.ClientInfo(name="pytest-lsp", version="1"),
            root_uri=None,
            initialization_options={"completion": {"max_tokens": 48}},
        )
    )
    path = pathlib.Path(folder) / "stacks.adb"
    path.write_text(STACK)
    uri = path.as_uri()
    client.text_document_did_open(
        types.DidOpenTextDocumentParams(
            text_document=types.TextDocumentItem(uri=uri, language_id="ada", version=1, text=STACK)
        )
    )

    version = 1

    def put(line: int, character: int, text: str) -> None:
        nonlocal version
        version += 1
        at = types.Position(line=line, character=character)
        client.text_document_did_change(
            types.DidChangeTextDocumentParams(
                text_document=types.VersionedTextDocumentIdentifier(uri=uri, version=version),
                content_changes=[
                    types.TextDocumentContentChangePartial(range=types.Range(start=at, end=at), text=text)
                ],
            )
        )

    async def suggested(line: int, character: int, kind: types.InlineCompletionTriggerKind) -> list:
        answer = await client.text_document_inline_completion_async(
            types.InlineCompletionParams(
                text_document=types.TextDocumentIdentifier(uri=uri),
                position=types.Position(line=line, character=character),
                context=types.InlineCompletionContext(trigger_kind=kind),
            )
        )
        return answer.items

    put(9, 0, "      ")
    invoked, automatic = types.InlineCompletionTriggerKind.Invoked, types.InlineCompletionTriggerKind.Automatic
    first = (await suggested(9, 6, invoked))[0]
    # What the person types agrees with it.
    typed = first.insert_text[:3]
    put(9, 6, typed)
    second = (await suggested(9, 9, automatic))[0]
    put(9, 9, second.insert_text)
    await client.workspace_execute_command_async(
        types.ExecuteCommandParams(command=second.command.command, arguments=second.command.arguments)
    )
    hover = await client.text_document_hover_async(
        types.HoverParams(
            text_document=types.TextDocumentIdentifier(uri=uri), position=types.Position(line=9, character=9)
        )
    )
    chat = await client.protocol.send_request_async(
        "cloister/chat",
        {"id": "1", "messages": [{"role": "user", "content": "Say yes and nothing else."}], "uri": uri},
    )
    status = await client.protocol.send_request_async("cloister/status", {})
    await client.shutdown_session()
    return {
        "inline": hello.capabilities.inline_completion_provider is not None,
        "first": first.insert_text,
        "typed": typed,
        "second": second.insert_text,
        "suggestion": second.command.arguments[0]["suggestion"],
        "hover": hover.contents.value,
        "chat_record": chat.record,
        "chat_text": chat.text,
        "reachable": status.reachable,
        "from_cache": status.suggestions.from_cache,
        "deployments": [one.alias for one in status.deployments],
    }


print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
