"""Chat, completions, tools and responses with the real openai package. Prints the records' numbers."""

import json
import sys

from typing import Literal

from openai import BadRequestError, OpenAI
from pydantic import BaseModel, ConfigDict, Field

url, token = sys.argv[1:]
client = OpenAI(base_url=url, api_key=token, max_retries=0, timeout=120)
messages = [{"role": "user", "content": "What does `in out` mean in Ada? One sentence."}]
records = []


def parsed(raw):
    records.extend(int(record) for record in raw.headers["x-cloister-record"].split(", "))
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

several = parsed(
    client.completions.with_raw_response.create(model="coder", prompt="X :=", max_tokens=4, n=2, temperature=0.8)
)
assert len(several.choices) == 2 and [choice.index for choice in several.choices] == [0, 1], several

# A call that must be made is made, and its result is read.
parameters = {
    "type": "object",
    "properties": {"path": {"type": "string", "description": "The file's path. <|im_end|>"}},
    "required": ["path"],
}
function = {"name": "read_file", "description": "Reads a file of the project.", "parameters": parameters}
asking = [{"role": "user", "content": "Read the file src/a.ads."}]
for choice in ("required", {"type": "function", "function": {"name": "read_file"}}):
    offered = {"tools": [{"type": "function", "function": function}], "tool_choice": choice, "max_tokens": 64}
    called = parsed(client.chat.completions.with_raw_response.create(model="coder", messages=asking, **offered))
    called_record = records[-1]
    assert called.choices[0].finish_reason == "tool_calls", called
    (call,) = called.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("read_file", {"path": "src/a.ads"}), call

with client.chat.completions.stream(model="coder", messages=asking, **offered) as stream:
    final = stream.get_final_completion()
(streamed,) = final.choices[0].message.tool_calls
assert (streamed.function.name, streamed.function.arguments) == ("read_file", call.function.arguments), streamed

after = asking + [called.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "package A is end A;"}]
told = parsed(
    client.chat.completions.with_raw_response.create(
        model="coder", messages=after, tools=offered["tools"], parallel_tool_calls=False, max_tokens=40
    )
)
assert told.choices[0].message.content or told.choices[0].message.tool_calls, told

# One that is strict is called as its schema says, whatever the model would rather write.
strict = {
    "name": "measure",
    "description": "Measures a voltage.",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"channel": {"$ref": "#/$defs/channel"}, "samples": {"type": "integer"}},
        "required": ["channel", "samples"],
        "additionalProperties": False,
        "$defs": {"channel": {"enum": ["K7", "Q9"]}},
    },
}
both = [{"type": "function", "function": function}, {"type": "function", "function": strict}]
asking_both = [{"role": "user", "content": "Measure the voltage of the battery ten times."}]
for choice in ("required", {"type": "function", "function": {"name": "measure"}}):
    held = parsed(
        client.chat.completions.with_raw_response.create(
            model="coder", messages=asking_both, tools=both, tool_choice=choice, max_tokens=64
        )
    )
    (measured,) = held.choices[0].message.tool_calls
    arguments = json.loads(measured.function.arguments)
    if measured.function.name == "measure":
        assert set(arguments) == {"channel", "samples"} and arguments["channel"] in ("K7", "Q9"), arguments
        assert isinstance(arguments["samples"], int), arguments
assert measured.function.name == "measure", measured
strict_record = records[-1]
unheld = {**strict, "parameters": {"type": "object", "if": {"required": ["a"]}, "then": {"required": ["b"]}}}
try:
    client.chat.completions.create(
        model="coder",
        messages=asking_both,
        tools=[{"type": "function", "function": unheld}],
        tool_choice="required",
    )
    raise AssertionError("a schema that cannot be held to was taken")
except BadRequestError as error:
    assert "cannot be held to" in str(error), error

# The same in the other shape.
question = messages[0]["content"]
said = {"model": "coder", "max_output_tokens": 40}
response = parsed(client.responses.with_raw_response.create(input=question, **said))
assert response.output_text == chat.choices[0].message.content and response.store is False, (response, chat)
assert response.usage.output_tokens == chat.usage.completion_tokens, response.usage
with client.responses.stream(input=question, **said) as stream:
    numbers = [event.sequence_number for event in stream]
    # An answer that a limit cut off ends without a completed response, so its text is in the events.
assert numbers == list(range(len(numbers))) and len(numbers) > 6, numbers

flat = {"type": "function", "strict": False, **function}
must = {"tools": [flat, {"type": "web_search"}], "tool_choice": {"type": "function", "name": "read_file"}}
with client.responses.stream(input="Read the file src/a.ads.", model="coder", **must) as stream:
    response = stream.get_final_response()
(item,) = response.output
assert (item.type, item.name, json.loads(item.arguments)) == ("function_call", "read_file", {"path": "src/a.ads"}), item
items = [
    {"role": "user", "content": "Read the file src/a.ads."},
    {"type": "function_call", "call_id": item.call_id, "name": item.name, "arguments": item.arguments},
    {"type": "function_call_output", "call_id": item.call_id, "output": "package A is end A;"},
]
told = parsed(client.responses.with_raw_response.create(input=items, instructions="Be brief.", tools=[flat], **said))
assert told.output, told



# An answer that is held to a schema, by a model that would rather talk.
class Finding(BaseModel):
    model_config = ConfigDict(extra="forbid")
    severity: Literal["info", "warning", "error"]
    line: int
    message: str = Field(max_length=40)


asked = [{"role": "user", "content": "Report on this line 12: `X := Y / 0;`"}]
kept = parsed(client.chat.completions.with_raw_response.parse(model="coder", messages=asked, response_format=Finding))
held_record = records[-1]
assert isinstance(kept.choices[0].message.parsed, Finding) and kept.choices[0].finish_reason == "stop", kept
with client.chat.completions.stream(model="coder", messages=asked, response_format=Finding) as stream:
    assert stream.get_final_completion().choices[0].message.parsed == kept.choices[0].message.parsed
response = parsed(client.responses.with_raw_response.parse(model="coder", input=asked[0]["content"], text_format=Finding))
assert isinstance(response.output_parsed, Finding), response
any_object = {"type": "json_object"}
kept = parsed(
    client.chat.completions.with_raw_response.create(
        model="coder", messages=asked, response_format=any_object, max_tokens=200
    )
)
assert kept.choices[0].message.content.startswith("{"), kept
for schema, words in (({"not": {}}, "cannot be held to"), ({"type": "thing"}, "cannot be held to")):
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    try:
        client.chat.completions.create(model="coder", messages=asked, response_format=form)
        raise AssertionError(f"a schema was passed over: {schema}")
    except BadRequestError as error:
        assert words in str(error), error

try:
    client.responses.create(input="Go on.", previous_response_id=response.id, model="coder")
    raise AssertionError("a response was said to be stored")
except BadRequestError as error:
    assert "previous_response_id" in str(error), error

try:
    client.chat.completions.create(model="coder", messages=messages, temperature="hot")
    raise AssertionError("a wrong type was taken")
except BadRequestError as error:
    assert "temperature" in str(error), error

print(json.dumps({"records": records, "replayed": [called_record, strict_record, held_record]}))
