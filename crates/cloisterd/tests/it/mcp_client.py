"""Tools of `cloister mcp`, listed and called by the Model Context Protocol's own client. Prints what was seen as JSON."""

import asyncio
import json
import os
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

PROGRAM, WORDS = sys.argv[1:]


async def main():
    # Server and token are in the environment, which it passes on only when told to.
    parameters = StdioServerParameters(command=PROGRAM, args=["mcp"], env=dict(os.environ))
    async with stdio_client(parameters) as (read, write), ClientSession(read, write) as session:
        hello = await session.initialize()
        tools = (await session.list_tools()).tools
        found = await session.call_tool("search", {"query": WORDS})
        nothing = await session.call_tool("read", {"source": "nowhere", "path": "x"})
        print(json.dumps({
            "server": hello.server_info.name,
            "tools": sorted(tool.name for tool in tools),
            "found": found.content[0].text,
            "nothing": nothing.content[0].text,
        }))


asyncio.run(main())
