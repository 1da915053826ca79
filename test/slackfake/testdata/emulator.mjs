// Registers the address that the emulator sends events to: it has no setting for that.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const dist = process.env.EMULATOR_DIST;
let found = false;
for (const name of readdirSync(dist)) {
  if (!/^dist-.*\.js$/.test(name) || !readFileSync(join(dist, name), "utf8").includes("slackPlugin")) continue;
  const { slackPlugin: plugin } = await import(pathToFileURL(join(dist, name)).href);
  if (!plugin?.register) continue;
  const { register } = plugin;
  plugin.register = function (app, store, webhooks, ...rest) {
    webhooks.register({ url: process.env.EMULATOR_EVENTS, events: ["*"], active: true, owner: "slack" });
    return register.call(this, app, store, webhooks, ...rest);
  };
  found = true;
}
if (!found) throw new Error("no slackPlugin in " + dist);
