"""Chat, streamed chat and completions with the real openai package. Prints the records' numbers."""

import json
import sys

from openai import BadRequestError, OpenAI

url, token = sys.argv[1:]
client = OpenAI(base_url=url, api_key=token, max_retries=0, timeout=120)
messages = [{"role": "user", "content": "What does `in out` mean in Ada? One sentence."}]
records = []


def parsed(raw):
    records.append(int(raw.headers["x-cloister-record"]))
    return raw.parse()


models = [model.id for model in client.models.list()]
assert models == ["coder"], models

chat = parsed(client.chat.completions.with_raw_response.create(model="coder", messages=messages, max_tokens=40))
assert chat.choices[0].message.role == "assistant" and chat.choices[0].message.content, chat
assert chat.usage.completion_tokens > 0 and chat.usage.prompt_tokens > 0, chat

raw = client.chat.completions.with_raw_response.create(
    model="coder", messages=messages, max_tokens=40, stream=True, stream_options={"include_usage": True}
)
chunks = list(parsed(raw))
text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
assert text == chat.choices[0].message.content, (text, chat)
assert chunks[-1].usage.completion_tokens == chat.usage.completion_tokens, chunks[-1]

filled = parsed(
    client.completions.with_raw_response.create(
        model="coder",
        prompt="procedure Swap (A, B : in out Integer) is\n   Temp : Integer;\nbegin\n",
        suffix="\nend Swap;\n",
        max_tokens=32,
    )
)
assert "Temp := A;" in filled.choices[0].text, filled

try:
    client.chat.completions.create(model="coder", messages=messages, temperature="hot")
    raise AssertionError("a wrong type was taken")
except BadRequestError as error:
    assert "temperature" in str(error), error

print(json.dumps({"records": records}))
