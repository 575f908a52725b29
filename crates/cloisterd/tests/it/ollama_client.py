"""What the real ollama package asks: lists, shows, chats, streams, fills. Prints how many answers there are."""

import json
import sys

from ollama import Client, ResponseError

url, token = sys.argv[1:]
client = Client(host=url, headers={"authorization": f"Bearer {token}"}, timeout=120)
messages = [{"role": "user", "content": "What does `in out` mean in Ada? One sentence."}]
options = {"num_predict": 40}

models = [model.model for model in client.list().models]
assert models == ["coder:latest"], models
assert [model.model for model in client.ps().models] == models
shown = client.show("coder:latest")
assert "insert" in shown.capabilities and ".Suffix" in shown.template, shown
assert any(name.endswith(".context_length") and size > 0 for name, size in shown.modelinfo.items()), shown

chat = client.chat("coder:latest", messages, options=options)
assert chat.message.role == "assistant" and chat.message.content and chat.done, chat
assert chat.eval_count > 0 and chat.prompt_eval_count > 0 and chat.total_duration > 0, chat
parts = list(client.chat("coder", messages, options=options, stream=True))
text = "".join(part.message.content for part in parts)
assert text == chat.message.content and parts[-1].done_reason == chat.done_reason, (text, chat)

def weather(city: str) -> str:
    """Tells the weather in a city.

    Args:
      city: its name
    """
    return f"It is sunny in {city}."


asked = [{"role": "user", "content": "What is the weather in Ulm? Use the tool."}]
called = client.chat("coder", asked, tools=[weather], options={"num_predict": 80})
call = called.message.tool_calls[0].function
assert (call.name, call.arguments) == ("weather", {"city": "Ulm"}), called
parts = list(client.chat("coder", asked, tools=[weather], options={"num_predict": 80}, stream=True))
assert [part.message.tool_calls[0].function for part in parts if part.message.tool_calls] == [call], parts
told = asked + [called.message, {"role": "tool", "content": weather(**call.arguments), "tool_name": call.name}]
# A small model may call again; it has read the call and its result.
said = client.chat("coder", told, options={"num_predict": 40})
assert said.done and said.message.content and said.prompt_eval_count > 60, said

schema = {
    "type": "object",
    "properties": {"city": {"enum": ["Ulm", "Jena"]}, "degrees": {"type": "integer", "minimum": -50, "maximum": 50}},
    "required": ["city", "degrees"],
    "additionalProperties": False,
}
held = client.chat("coder", asked, format=schema)
value = json.loads(held.message.content)
assert value["city"] in ("Ulm", "Jena") and -50 <= value["degrees"] <= 50 and held.done_reason == "stop", held
held = client.generate("coder", "Describe a point.", format="json", options=options)
assert held.response.startswith("{"), held

whole = client.generate("coder", "Say `yes`.", system="Answer in one word.", options=options)
assert whole.response and whole.done, whole
parts = list(client.generate("coder", "Say `yes`.", system="Answer in one word.", options=options, stream=True))
assert "".join(part.response for part in parts) == whole.response, (parts, whole)

prefix = "procedure Swap (A, B : in out Integer) is\n   Temp : Integer;\nbegin\n"
filled = client.generate("coder", prefix, suffix="\nend Swap;\n", options={"num_predict": 32})
assert "Temp := A;" in filled.response, filled
# Special tokens of a raw prompt count: what comes is the middle.
prompt = "<|fim_prefix|>function Twice (X : Integer) return Integer is\nbegin\n   return <|fim_suffix|>\nend Twice;\n<|fim_middle|>"
raw = client.generate("coder", prompt, raw=True, options={"num_predict": 16})
assert raw.response.startswith("X * 2;"), raw

loaded = client.generate("coder", keep_alive=60)
assert loaded.done_reason == "load" and loaded.response == "", loaded

deep = {"type": "string"}
for _ in range(30):
    deep = {"items": deep}
for wrong, status in [
    (lambda: client.chat("nobody", messages), 404),
    (lambda: client.embed("coder", "text"), 400),
    (lambda: client.chat("coder", messages, format=deep), 400),
    (lambda: client.show("nobody"), 404),
]:
    try:
        wrong()
        raise AssertionError("it was taken")
    except ResponseError as error:
        assert error.status_code == status and error.error, error

print(json.dumps({"answers": 11}))
