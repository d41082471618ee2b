// Calls one tool with the TypeScript SDK and prints the result: client.mjs URL TOOL ARGUMENTS
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [url, name, args] = process.argv.slice(2);
const client = new Client({ name: "interop", version: "1.0.0" });
await client.connect(new StreamableHTTPClientTransport(new URL(url)));
await client.listTools();
const result = await client.callTool({ name, arguments: JSON.parse(args) });
process.stdout.write(JSON.stringify(result));
await client.close();
