"""A chat and a streamed chat through litellm, as a server that speaks OpenAI's words. Prints how many answers there are."""

import json
import os
import sys

# Else it asks its maker's site for prices.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

# It talks on standard output when a request is refused; data goes there, talk does not.
sys.stdout = sys.stderr

import litellm

url, token = sys.argv[1:]
litellm.telemetry = False
messages = [{"role": "user", "content": "What does `in out` mean in Ada? One sentence."}]
asked = {
    "model": "openai/coder",
    "api_base": url,
    "api_key": token,
    "messages": messages,
    "max_tokens": 40,
    "temperature": 0,
    "num_retries": 0,
    "timeout": 120,
}

chat = litellm.completion(**asked)
text = chat.choices[0].message.content
assert text and chat.usage.completion_tokens > 0, chat

chunks = list(litellm.completion(**asked, stream=True, stream_options={"include_usage": True}))
streamed = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
assert streamed == text, (streamed, text)

try:
    litellm.completion(**{**asked, "model": "openai/nobody"})
    raise AssertionError("a deployment that there is not was taken")
except litellm.NotFoundError as error:
    assert "coder" in str(error), error

print(json.dumps({"answers": 2}), file=sys.__stdout__)
