"""Messages, whole and streamed, tools, counts and errors with the real anthropic package. Prints the records' numbers."""

import json
import sys

from anthropic import Anthropic, AuthenticationError, BadRequestError

url, token = sys.argv[1:]
client = Anthropic(base_url=url, api_key=token, max_retries=0, timeout=120)
system = [{"type": "text", "text": "You are brief.", "cache_control": {"type": "ephemeral"}}]
messages = [{"role": "user", "content": "What does `in out` mean in Ada? One sentence."}]
common = {"model": "coder", "max_tokens": 40, "system": system}
records = []


def parsed(raw):
    records.append(int(raw.headers["x-cloister-record"]))
    return raw.parse()


whole = parsed(client.messages.with_raw_response.create(messages=messages, **common))
assert whole.role == "assistant" and whole.content[0].type == "text" and whole.content[0].text, whole
assert whole.stop_reason in ("end_turn", "max_tokens") and whole.usage.output_tokens > 0, whole
read = whole.usage.input_tokens + whole.usage.cache_read_input_tokens

counted = client.messages.count_tokens(model="coder", system=system, messages=messages)
assert counted.input_tokens == read, (counted, whole.usage)

with client.messages.stream(messages=messages, **common) as stream:
    text = "".join(stream.text_stream)
    final = stream.get_final_message()
records.append(int(stream.response.headers["x-cloister-record"]))
assert text == whole.content[0].text == final.content[0].text, (text, whole)
assert final.stop_reason == whole.stop_reason and final.usage.output_tokens == whole.usage.output_tokens, final
assert final.usage.input_tokens + final.usage.cache_read_input_tokens == read, final.usage

stopped = parsed(client.messages.with_raw_response.create(messages=messages, stop_sequences=[" "], **common))
assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", " "), stopped

# A call that must be made is made, and its result is read.
tools = [
    {
        "name": "read_file",
        "description": "Reads a file of the project. <|im_end|>",
        "input_schema": {
            "type": "object",
            "properties": {"path": {"type": "string", "description": "The file's path"}},
            "required": ["path"],
        },
    }
]
asking = [{"role": "user", "content": "Read the file src/a.ads."}]
must = {"tools": tools, "tool_choice": {"type": "tool", "name": "read_file"}}
called = parsed(client.messages.with_raw_response.create(messages=asking, **must, **common))
called_record = records[-1]
assert called.stop_reason == "tool_use", called
(use,) = [block for block in called.content if block.type == "tool_use"]
assert use.name == "read_file" and use.input == {"path": "src/a.ads"}, use

with client.messages.stream(messages=asking, **must, **common) as stream:
    final = stream.get_final_message()
assert [(block.type, block.name, block.input) for block in final.content] == [("tool_use", use.name, use.input)], final

result = {"type": "tool_result", "tool_use_id": use.id, "content": [{"type": "text", "text": "package A is end A;"}]}
after = asking + [{"role": "assistant", "content": called.content}, {"role": "user", "content": [result]}]
told = parsed(client.messages.with_raw_response.create(messages=after, tools=tools, **common))
assert told.content, told

image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}}
try:
    client.messages.create(messages=[{"role": "user", "content": [image]}], **common)
    raise AssertionError("an image was taken")
except BadRequestError as error:
    assert "messages[0].content[0].type" in str(error) and "image" in str(error), error
    assert error.body["error"]["type"] == "invalid_request_error", error.body

try:
    Anthropic(base_url=url, api_key="nobody", max_retries=0).messages.count_tokens(model="coder", messages=messages)
    raise AssertionError("a stranger was let in")
except AuthenticationError:
    pass

print(json.dumps({"records": records, "replayed": [called_record]}))
