// What Continue does with a server: a chat, a chat that streams, and a hole that is filled by Mistral's words.
import { constructLlmApi } from "@continuedev/openai-adapters";

const [url, token] = process.argv.slice(2);
const patience = () => AbortSignal.timeout(600_000);
const messages = [{ role: "user", content: "Say hello in one word." }];
const openai = constructLlmApi({ provider: "openai", apiBase: `${url}/v1/`, apiKey: token });

const whole = await openai.chatCompletionNonStream(
  { model: "coder", messages, max_tokens: 8, stream: false }, patience());
if (!whole.choices[0].message.content) throw new Error(JSON.stringify(whole));

let streamed = "";
for await (const part of openai.chatCompletionStream(
  { model: "coder", messages, max_tokens: 8, stream: true }, patience())) {
  streamed += part.choices[0]?.delta?.content ?? "";
}
if (!streamed) throw new Error("nothing was streamed");

const mistral = constructLlmApi({ provider: "mistral", apiBase: `${url}/v1/`, apiKey: token });
let filled = "";
for await (const part of mistral.fimStream(
  { model: "coder", prompt: "procedure Greet is\nbegin\n   Put_", suffix: "\nend Greet;\n", max_tokens: 8, stream: true },
  patience())) {
  filled += part.choices[0]?.delta?.content ?? "";
}
if (!filled) throw new Error("nothing was filled in");
