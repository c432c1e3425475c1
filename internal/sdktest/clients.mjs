// Runs the official clients against a gateway and prints what each scenario
// gave, one JSON object a line. The Go test compares.
import OpenAI from "openai";
import OpenAI6 from "openai-6";
import Anthropic from "@anthropic-ai/sdk";

const { url, keys } = JSON.parse(process.env.PENSTOCK_SDKTEST);
const chat = { model: "tiny", messages: [{ role: "user", content: "2+2?" }] };
const message = { ...chat, max_tokens: 20 };

async function report(name, run) {
  const started = Date.now();
  let result;
  try {
    result = { ok: await run() };
  } catch (error) {
    result = {
      class: error?.constructor?.name,
      status: error?.status,
      code: error?.code ?? error?.error?.error?.code,
      type: error?.type,
      requestID: Boolean(error?.requestID ?? error?.request_id),
      message: String(error?.message),
      seen: error?.seen,
    };
  }
  console.log(JSON.stringify({ name, ms: Date.now() - started, ...result }));
}

// collect reads a stream and keeps what came before an error.
async function collect(stream, take) {
  const seen = [];
  try {
    for await (const event of stream) {
      const piece = take(event);
      if (piece !== undefined) seen.push(piece);
    }
  } catch (error) {
    error.seen = seen;
    throw error;
  }
  return seen;
}

const delta = (event) => event.choices[0]?.delta?.content ?? undefined;
const textDelta = (event) => (event.type === "content_block_delta" ? event.delta.text : undefined);

async function openai(name, Client) {
  const client = (key = keys.member, options = {}) =>
    new Client({ apiKey: key, baseURL: url + "/v1", maxRetries: 0, ...options });
  const scenarios = {
    chat: async () => {
      const reply = await client().chat.completions.create(chat);
      return [reply.choices[0].message.content, reply.usage.total_tokens, Boolean(reply._request_id)];
    },
    stream: async () => {
      let usage = 0;
      const stream = await client().chat.completions.create({ ...chat, stream: true });
      return collect(stream, (event) => {
        if (event.usage || event.choices.length === 0) usage++;
        return usage ? "usage" : delta(event);
      });
    },
    "stream with usage": async () => {
      const stream = await client().chat.completions.create({ ...chat, stream: true, stream_options: { include_usage: true } });
      return collect(stream, (event) => event.usage?.completion_tokens ?? delta(event));
    },
    completions: async () => (await client().completions.create({ model: "tiny", prompt: "2+2=" })).choices[0].text,
    embeddings: async () => {
      const reply = await client().embeddings.create({ model: "tiny", input: ["a", "b"], encoding_format: "float" });
      return [reply.data[0].embedding, reply.usage.prompt_tokens];
    },
    responses: async () => {
      const reply = await client().responses.create({ model: "tiny", input: "2+2?" });
      return [reply.output_text, reply.usage.output_tokens];
    },
    "responses stream": async () => {
      const stream = await client().responses.create({ model: "tiny", input: "2+2?", stream: true });
      return collect(stream, (event) => (event.type === "response.output_text.delta" ? event.delta : event.type === "response.completed" ? event.response.usage.output_tokens : undefined));
    },
    speech: async () => {
      const reply = await client().audio.speech.create({ model: "tiny", voice: "alloy", input: "four" });
      return (await reply.arrayBuffer()).byteLength;
    },
    transcription: async () => {
      const file = new File([new Uint8Array(8000)], "a.wav", { type: "audio/wav" });
      return (await client().audio.transcriptions.create({ model: "tiny", file })).text;
    },
    images: async () => (await client().images.generate({ model: "tiny", prompt: "four", n: 2, size: "1024x1024" })).data.length,
    moderation: async () => (await client().moderations.create({ model: "tiny", input: "four" })).results[0].flagged,
    models: async () => (await client().models.list()).data.map((model) => model.id).sort(),
    "one model": async () => (await client().models.retrieve("tiny")).id,
    "model of another key": () => client(keys.limited).models.retrieve("dies"),
    "wrong key": () => client("wrong").chat.completions.create(chat),
    "revoked key": () => client(keys.revoked).chat.completions.create(chat),
    "admin key": () => client(keys.admin).chat.completions.create(chat),
    "forbidden model": () => client(keys.limited).chat.completions.create({ ...chat, model: "dies" }),
    "unknown model": () => client().chat.completions.create({ ...chat, model: "none" }),
    "bad request": () => client().chat.completions.create({ ...chat, max_tokens: -1 }),
    "no credit": () => client(keys.poor).chat.completions.create(chat),
    "too large": () => client().chat.completions.create({ ...chat, messages: [{ role: "user", content: "x".repeat(2_000_000) }] }),
    "never fits": () => client(keys.limited).chat.completions.create({ ...chat, max_tokens: 5000 }),
    "rate limit": async () => {
      await client(keys.slow + "").chat.completions.create(chat);
      return client(keys.slow + "").chat.completions.create(chat);
    },
    "upstream busy": () => client().chat.completions.create({ ...chat, model: "busy" }),
    "upstream fails": () => client().chat.completions.create({ ...chat, model: "fails" }),
    "mid-stream failure": async () => collect(await client().chat.completions.create({ ...chat, model: "dies", stream: true }), delta),
    // The hold of the first call takes all the credit; the second is told to come
    // back, and does.
    "retry honoured": async () => {
      const slow = { ...chat, model: "slow", max_tokens: 20 };
      const first = client(keys.tight).chat.completions.create(slow);
      await new Promise((resolve) => setTimeout(resolve, 300));
      const second = client(keys.tight, { maxRetries: 2 }).chat.completions.create(slow);
      return [(await first).choices[0].message.content, (await second).choices[0].message.content];
    },
    "no retry of a final refusal": () => client(keys.poor, { maxRetries: 2 }).chat.completions.create(chat),
  };
  for (const [scenario, run] of Object.entries(scenarios)) await report(`${name}: ${scenario}`, run);
}

async function anthropic() {
  const client = (key = keys.member, options = {}) => new Anthropic({ apiKey: key, baseURL: url, maxRetries: 0, ...options });
  const create = (key, change = {}) => client(key).messages.create({ ...message, ...change });
  const scenarios = {
    message: async () => {
      const reply = await create();
      return [reply.content[0].text, reply.usage.output_tokens, Boolean(reply._request_id)];
    },
    stream: async () => collect(await create(undefined, { stream: true }), textDelta),
    "final message": async () => {
      const reply = await client().messages.stream(message).finalMessage();
      return [reply.content[0].text, reply.usage.input_tokens, reply.usage.output_tokens];
    },
    models: async () => (await client().models.list()).data.map((model) => model.id).sort(),
    "one model": async () => (await client().models.retrieve("tiny")).display_name,
    "model of another key": () => client(keys.limited).models.retrieve("dies"),
    "count tokens": async () => (await client().messages.countTokens(chat)).input_tokens,
    "count tokens by the gate": async () => (await client().messages.countTokens({ ...chat, model: "busy" })).input_tokens > 9,
    "wrong key": () => create("wrong"),
    "admin key": () => create(keys.admin),
    "forbidden model": () => create(keys.limited, { model: "dies" }),
    "unknown model": () => create(undefined, { model: "none" }),
    "bad request": () => create(undefined, { max_tokens: -1 }),
    "no credit": () => create(keys.poor),
    "too large": () => create(undefined, { messages: [{ role: "user", content: "x".repeat(2_000_000) }] }),
    "rate limit": async () => {
      await create(keys.slow2);
      return create(keys.slow2);
    },
    overloaded: () => create(undefined, { model: "busy" }),
    "mid-stream failure": async () => collect(await create(undefined, { model: "dies", stream: true }), textDelta),
    "no retry of a final refusal": () => client(keys.poor, { maxRetries: 2 }).messages.create(message),
  };
  for (const [scenario, run] of Object.entries(scenarios)) await report(`anthropic: ${scenario}`, run);
}

await openai("openai 7", OpenAI);
keys.slow = keys.slow3; // whose minute has not begun
await openai("openai 6", OpenAI6);
await anthropic();
