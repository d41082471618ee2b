package gateway

// The names of the gateway's own tools, as agents call them and as records and metrics name the operation.
const (
	ListServers    = "list_servers"
	GetServerTools = "get_server_tools"
	ExecuteTool    = "execute_tool"
	GatewayStatus  = "get_gateway_status" // with --debug only
)

// Operations are all names that a record's method can have, in the order in which agents see the tools.
func Operations() []string { return []string{ListServers, GetServerTools, ExecuteTool, GatewayStatus} }

// The definitions say in "required" what must be there, and refuse properties they do not have, since a model that reads
// them will otherwise learn it by failing. None has an outputSchema: clients hold results against it, and a refusal has
// another shape.
//
// The definitions are written for a model that has never heard of a gateway and reads nothing else. Together they stay
// under 2,000 tokens, since every agent pays for them at the start of every conversation.

const listServersDefinition = `{"name":"list_servers","title":"List servers","description":` +
	`"Lists the MCP servers you may use through this gateway, with what each is for. Start here. ` +
	`Then call get_server_tools to see a server's tools, and execute_tool to use one.",` +
	`"inputSchema":{"type":"object","properties":{` + agentArgument +
	`"include_metadata":{"type":"boolean","default":false,"description":"Also say each server's transport and status"}},` +
	`"additionalProperties":false},"annotations":{"readOnlyHint":true,"openWorldHint":false}}`

const getServerToolsDefinition = `{"name":"get_server_tools","title":"Get a server's tools","description":` +
	`"Returns the tools of one server that you may use, each with its description and input schema. ` +
	`To spend fewer tokens, narrow it down with names, pattern or max_schema_tokens; truncated is true where tools were ` +
	`left out because of max_schema_tokens.",` +
	`"inputSchema":{"type":"object","properties":{` + agentArgument +
	`"server":{"type":"string","description":"A server's name from list_servers"},` +
	`"names":{"anyOf":[{"type":"string"},{"type":"array","items":{"type":"string"}}],` +
	`"description":"Only these tools: names separated by commas, or an array"},` +
	`"pattern":{"type":"string","description":"Only tools whose whole name matches, such as get_* (* ? [abc] [!abc])"},` +
	`"max_schema_tokens":{"type":"integer","minimum":0,"description":"Leave out tools that do not fit into this many tokens"}},` +
	`"required":["server"],"additionalProperties":false},"annotations":{"readOnlyHint":true,"openWorldHint":false}}`

const executeToolDefinition = `{"name":"execute_tool","title":"Execute a tool","description":` +
	`"Calls one tool of one server and returns its result unchanged. Take the server from list_servers, and the tool and ` +
	`the schema of its arguments from get_server_tools. A refused call returns isError with an error code: ` +
	`DENIED_BY_POLICY will not change by trying again; TIMEOUT and SERVER_UNAVAILABLE may.",` +
	`"inputSchema":{"type":"object","properties":{` + agentArgument +
	`"server":{"type":"string","description":"A server's name from list_servers"},` +
	`"tool":{"type":"string","description":"A tool's name from get_server_tools"},` +
	`"args":{"type":"object","default":{},"description":"The tool's arguments, as its inputSchema says"},` +
	`"timeout_ms":{"type":"integer","minimum":1,"description":"Give up after this many milliseconds"}},` +
	`"required":["server","tool"],"additionalProperties":false}}`

const gatewayStatusDefinition = `{"name":"get_gateway_status","title":"Get the gateway's status","description":` +
	`"For debugging the gateway itself: the configuration's revision, since when it serves, and the state of your servers.",` +
	`"inputSchema":{"type":"object","properties":{` + agentOnlyArgument +
	`"additionalProperties":false},"annotations":{"readOnlyHint":true,"openWorldHint":false}}`

// agentOnly is the one argument that all of them have.
const (
	agentOnly         = `"agent_id":{"type":"string","description":"Your agent id; leave it out if you were not given one"}`
	agentArgument     = agentOnly + `,`
	agentOnlyArgument = agentOnly + `},`
)

// renderTools renders the array of tools/list, in the order of Operations.
func renderTools(tools map[string]tool) []byte {
	list := []byte{'['}
	for _, name := range Operations() {
		if t, ok := tools[name]; ok {
			if len(list) > 1 {
				list = append(list, ',')
			}
			list = append(list, t.definition...)
		}
	}
	return append(list, ']')
}
