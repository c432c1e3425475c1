// What a program would do with a client that is generated from the document. Types that
// do not fit are errors of the compiler; what the instance answers is checked here.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

const settings = JSON.parse(process.env.PENSTOCK_OPENAPITEST ?? "{}") as { url: string; key: string };
const api = createClient<paths>({ baseUrl: settings.url, headers: { Authorization: `Bearer ${settings.key}` } });

type Key = components["schemas"]["Key"];

// reply returns the data of an answer that must be a success.
function reply<T>(answer: { data?: T; error?: unknown; response: Response }): T {
	assert.equal(answer.error, undefined, `${answer.response.status} ${JSON.stringify(answer.error)}`);
	assert.notEqual(answer.data, undefined);
	return answer.data as T;
}

// An account with credit, added once.
const account = reply(await api.POST("/admin/v1/accounts", { body: { id: "acme", name: "Acme Ltd" } }));
assert.equal(account.available_micro, 0);
for (const replayed of [false, true]) {
	const added = reply(await api.POST("/admin/v1/accounts/{id}/topups", {
		params: { path: { id: "acme" }, header: { "Idempotency-Key": "invoice 1" } }, body: { amount: "12.5" },
	}));
	assert.equal(added.replayed, replayed);
	assert.equal(added.account.available, "12.500000");
}
const back = reply(await api.POST("/admin/v1/accounts/{id}/adjustments", {
	params: { path: { id: "acme" }, header: { "Idempotency-Key": "invoice 1" } }, body: { amount: "-2.5", reason: "paid twice" },
}));
assert.equal(back.account.available, "10.000000");

// A key, made once.
const ask = { params: { header: { "Idempotency-Key": "key 1" } }, body: { name: "team-a", owner: "acme", limits: { rpm: 60 } } };
const made = reply(await api.POST("/admin/v1/keys", ask));
assert.ok(made.key);
const again = reply(await api.POST("/admin/v1/keys", ask));
assert.equal(again.id, made.id);
assert.equal(again.key, null);
assert.equal(again.replayed, true);

// Changed, listed, paused, used for itself, revoked.
const path = { id: made.id };
const changed: Key = reply(await api.PATCH("/admin/v1/keys/{id}", { params: { path }, body: { limits: { rpm: 5 }, paused: true } }));
assert.equal(changed.limits.rpm, 5);
assert.equal(changed.state, "paused");
const own = createClient<paths>({ baseUrl: settings.url, headers: { "x-api-key": made.key ?? "" } });
const refused = await own.GET("/admin/v1/me");
assert.equal(refused.response.status, 403);
assert.equal(refused.error?.error.code, "key_paused");
reply(await api.PATCH("/admin/v1/keys/{id}", { params: { path }, body: { paused: false } }));
assert.equal(reply(await own.GET("/admin/v1/me")).id, made.id);
const page = reply(await api.GET("/admin/v1/keys", { params: { query: { owner: "acme", state: "active" } } }));
assert.deepEqual(page.keys.map((key) => key.id), [made.id]);
const stale = await api.PATCH("/admin/v1/keys/{id}", { params: { path }, body: { version: 1, name: "b" } });
assert.equal(stale.response.status, 409);
assert.equal(stale.error?.current_version, 3);
const missing = await api.GET("/admin/v1/keys/{id}", { params: { path: { id: "nobody" } } });
assert.equal(missing.error?.error.type, "not_found_error");
assert.equal(reply(await api.POST("/admin/v1/keys/{id}/rotate", { params: { path }, body: { overlap_seconds: 60 } })).id, made.id);
assert.equal(reply(await api.DELETE("/admin/v1/keys/{id}", { params: { path } })).state, "revoked");

// Lines, reports and models.
const entries = await api.GET("/admin/v1/entries", { params: { query: { account: "acme", kind: "topup,adjust" } }, parseAs: "text" });
const lines = (entries.data as unknown as string).trim().split("\n").map((line) => JSON.parse(line) as { kind: string });
assert.deepEqual(lines.map((line) => line.kind), ["topup", "adjust"]);
assert.equal(reply(await api.GET("/admin/v1/usage")).usage.length, 0);
assert.deepEqual(reply(await api.GET("/admin/v1/models")).models.map((model) => model.id), ["tiny"]);
assert.equal(reply(await api.GET("/admin/v1/accounts/{id}", { params: { path: { id: "acme" } } })).name, "Acme Ltd");
console.log("every call was answered as the document says");
