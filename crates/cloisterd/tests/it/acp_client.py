"""A turn, and one that is cancelled, by the Agent Client Protocol's own client. Prints what was seen as JSON."""

import asyncio
import json
import sys

import acp
from acp.schema import AllowedOutcome, RequestPermissionResponse

PROGRAM, SERVER, ROOT = sys.argv[1:]


class Editor:
    """Shows everything and allows nothing."""

    def __init__(self):
        self.text, self.updates, self.asked = "", [], 0
        self.began = asyncio.Event()

    async def session_update(self, session_id, update, **_):
        self.updates.append(update.session_update)
        if update.session_update == "agent_message_chunk":
            self.text += update.content.text

    async def request_permission(self, session_id, tool_call, options, **_):
        self.asked += 1
        no = next(option for option in options if option.kind == "reject_once")
        outcome = AllowedOutcome(outcome="selected", option_id=no.option_id)
        return RequestPermissionResponse(outcome=outcome)

    def on_connect(self, connection):
        pass


async def main():
    editor = Editor()
    arguments = ["acp", "--server", SERVER, "--steps", "3", "--max-tokens", "160"]
    async with acp.spawn_agent_process(editor, PROGRAM, *arguments) as (agent, _):
        hello = await agent.initialize(protocol_version=acp.PROTOCOL_VERSION)
        session = (await agent.new_session(cwd=ROOT, mcp_servers=[])).session_id
        task = "Read the file twice.adb, then propose an edit that multiplies by 4 instead of 2."
        turn = await agent.prompt(session_id=session, prompt=[acp.text_block(task)])
        seen = {"version": hello.protocol_version, "stop": turn.stop_reason, "text": editor.text}
        seen |= {"updates": editor.updates, "asked": editor.asked}
        long = agent.prompt(session_id=session, prompt=[acp.text_block("Tell a long story.")])
        turn = asyncio.create_task(long)
        # Sent, and not answered yet.
        await asyncio.sleep(0.05)
        await agent.cancel(session_id=session)
        seen["cancelled"] = (await turn).stop_reason
    print(json.dumps(seen))


asyncio.run(main())
