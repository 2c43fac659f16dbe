/**
 * What a shop's front end asks, typed by the API's own document.
 *
 *     recsys openapi > openapi.json
 *     npm ci && npm run types && npm run build
 *     node built/example.js URL TOKEN USER PRODUCT
 *
 * It prints one JSON object. A token is for servers: a page in a browser must not hold one.
 */
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type PersonalList = components["schemas"]["PersonalList"];
type Problem = components["schemas"]["Problem"];
declare const process: { argv: string[] }; // of Node; all else here runs in a browser, too

const [url = "", token = "", user = "", product = ""] = process.argv.slice(2);
const page = createClient<paths>({ baseUrl: url });
const server = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });

/** What was answered, or an error that says why there is nothing. */
function expected<Data>(answer: { data?: Data; error?: Problem }): Data {
  if (answer.data === undefined) throw new Error(answer.error ? `${answer.error.title}: ${answer.error.detail}` : "nothing");
  return answer.data;
}

/** What was refused, which this must have been. */
function refusal(answer: { error?: Problem }): Problem {
  if (answer.error === undefined) throw new Error("it was not refused");
  return answer.error;
}

const shown = expected(
  await page.GET("/api/recommendations", {
    params: { query: { userId: user, productId: product, limit: 2, recent: [product] } },
  }),
);
const near = expected(
  await page.GET("/api/v1/items/{item_id}/similar", { params: { path: { item_id: product }, query: { n: 3 } } }),
);
const about = expected(await server.GET("/api/v1/users/{user_id}/profile", { params: { path: { user_id: user } } }));
const listed = expected(
  await server.POST("/api/v1/recommendations", {
    body: { user_id: user, num_recommendations: 2, exclude: [product] },
  }),
);

// Lines of JSON, as they come.
const many = await server.POST("/api/v1/recommendations/bulk", {
  body: { user_ids: [user, "nobody"] },
  parseAs: "text",
});
const lines = expected(many)
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as PersonalList);

const refused = refusal(await page.GET("/api/recommendations", { params: { query: { limit: 51 } } }));
const unknown = refusal(
  await page.GET("/api/v1/users/{user_id}/profile", {
    params: { path: { user_id: user } },
    headers: { Authorization: "Bearer guessed" },
  }),
);

// Mistakes that the types find before a shopper does.
// @ts-expect-error a parameter that there is not
void (() => page.GET("/api/recommendations", { params: { query: { user: user } } }));
// @ts-expect-error a route that there is not
void (() => page.GET("/api/recommendation", {}));
// @ts-expect-error a number, not a word
void (() => page.GET("/api/recommendations", { params: { query: { limit: "ten" } } }));
// @ts-expect-error a field that v1 calls otherwise
void (() => shown.products.map((one) => one.item_id));

console.log(
  JSON.stringify({
    page: shown.products.map((one) => one.id),
    recommendation_id: shown.recommendationId,
    generation: shown.generation,
    near: near.similar_items.map((one) => one.item_id),
    orders: about.orders,
    listed: listed.recommendations.map((one) => one.item_id),
    segment: listed.user_info.spending_segment,
    many: lines.map((one) => one.user_id),
    refused: [refused.status, refused.parameter],
    unknown: [unknown.status, unknown.title],
  }),
);
