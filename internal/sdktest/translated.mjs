// Runs the official clients against a gateway whose upstream knows chat completions
// only, and prints what each scenario gave, one JSON object a line.
import OpenAI from "openai";
import OpenAI6 from "openai-6";
import Anthropic from "@anthropic-ai/sdk";

const { url, keys } = JSON.parse(process.env.PENSTOCK_SDKTEST);
const question = "How warm is it in Rome?";

async function report(name, run) {
  let result;
  try {
    result = { ok: await run() };
  } catch (error) {
    result = { class: error?.constructor?.name, status: error?.status, message: String(error?.message) };
  }
  console.log(JSON.stringify({ name, ...result }));
}

async function anthropic() {
  const client = new Anthropic({ apiKey: keys.member, baseURL: url, maxRetries: 0 });
  const plain = { model: "tiny", max_tokens: 2000, messages: [{ role: "user", content: question }] };
  const tools = [{ name: "warmth", description: "tells how warm it is", input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } }];
  const thinking = { type: "enabled", budget_tokens: 1024 };
  const final = (params) => client.messages.stream(params).finalMessage();
  // loop answers the calls of tools until the model has no more.
  const loop = async (ask) => {
    const messages = [...plain.messages];
    const seen = [];
    for (let turn = 0; turn < 4; turn++) {
      const reply = await ask({ ...plain, messages, tools, thinking });
      seen.push(reply.stop_reason, ...reply.content.map((block) => block.text ?? block.thinking ?? block.input.city));
      const calls = reply.content.filter((block) => block.type === "tool_use");
      if (calls.length === 0) return [...seen, reply.usage.input_tokens, reply.usage.output_tokens];
      messages.push({ role: "assistant", content: reply.content });
      messages.push({ role: "user", content: calls.map((call) => ({ type: "tool_result", tool_use_id: call.id, content: [{ type: "text", text: "31 in " + call.input.city }] })) });
    }
  };
  const scenarios = {
    message: async () => {
      const reply = await client.messages.create(plain);
      return [reply.model, reply.content, reply.stop_reason, reply.usage.output_tokens];
    },
    stream: async () => {
      const reply = await final(plain);
      return [reply.model, reply.content, reply.stop_reason, reply.usage.output_tokens];
    },
    "events of a stream": async () => {
      const types = [];
      for await (const event of await client.messages.create({ ...plain, stream: true })) types.push(event.type);
      return types.filter((type) => type !== "ping");
    },
    tools: () => loop((params) => client.messages.create(params)),
    "tools in a stream": () => loop(final),
    cut: async () => (await final({ ...plain, max_tokens: 1 })).stop_reason,
    "a server's tool": () => client.messages.create({ ...plain, tools: [{ type: "web_search_20250305", name: "web_search" }] }),
    "mid-stream failure": () => final({ ...plain, model: "dies" }),
    "upstream refuses": () => client.messages.create({ ...plain, model: "refuses" }),
  };
  for (const [scenario, run] of Object.entries(scenarios)) await report(`anthropic: ${scenario}`, run);
}

async function openai(name, Client) {
  const client = new Client({ apiKey: keys.member, baseURL: url + "/v1", maxRetries: 0 });
  const plain = { model: "tiny", input: question };
  const tools = [{ type: "function", name: "warmth", description: "tells how warm it is", strict: true, parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false } }];
  const reasoning = { effort: "low" };
  const final = (params) => client.responses.stream(params).finalResponse();
  const loop = async (ask) => {
    const input = [{ role: "user", content: question }];
    const seen = [];
    for (let turn = 0; turn < 4; turn++) {
      const reply = await ask({ ...plain, input, tools, reasoning });
      seen.push(reply.status, ...reply.output.map((item) => item.arguments ?? item.content[0].text));
      const calls = reply.output.filter((item) => item.type === "function_call");
      if (calls.length === 0) return [...seen, reply.usage.input_tokens, reply.usage.output_tokens];
      input.push(...reply.output);
      input.push(...calls.map((call) => ({ type: "function_call_output", call_id: call.call_id, output: "31 in " + JSON.parse(call.arguments).city })));
    }
  };
  const scenarios = {
    response: async () => {
      const reply = await client.responses.create(plain);
      return [reply.model, reply.output_text, reply.status, reply.store, reply.usage.total_tokens];
    },
    stream: async () => {
      const reply = await final(plain);
      return [reply.model, reply.output_text, reply.status, reply.store, reply.usage.total_tokens];
    },
    "events of a stream": async () => {
      const types = [];
      for await (const event of await client.responses.create({ ...plain, stream: true })) types.push(event.type);
      return types;
    },
    tools: () => loop((params) => client.responses.create(params)),
    "tools in a stream": () => loop(final),
    cut: async () => {
      const reply = await final({ ...plain, max_output_tokens: 1 });
      return [reply.status, reply.incomplete_details.reason];
    },
    "a schema": async () => {
      const format = { type: "json_schema", name: "warmth", strict: true, schema: { type: "object", properties: { warmth: { type: "number" } }, required: ["warmth"], additionalProperties: false } };
      return (await client.responses.parse({ ...plain, text: { format } })).output_text;
    },
    "a server's tool": () => client.responses.create({ ...plain, tools: [{ type: "web_search" }] }),
    "a memory": () => client.responses.create({ ...plain, previous_response_id: "resp_1" }),
    "mid-stream failure": () => final({ ...plain, model: "dies" }),
    "upstream refuses": () => client.responses.create({ ...plain, model: "refuses" }),
  };
  for (const [scenario, run] of Object.entries(scenarios)) await report(`${name}: ${scenario}`, run);
}

await anthropic();
await openai("openai 7", OpenAI);
await openai("openai 6", OpenAI6);
