package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/cli/agent"
	"github.com/gatehouse-mcp/gatehouse/controlplane/config"
)

// callGrace is how much longer gwctl waits than it told the gateway to, so that the gateway's own words arrive.
const callGrace = 2 * time.Second

// newCallCommand asks the gateway, not the control plane: what comes back has passed the same identity, policy and upstream
// as an agent's call, and stands in the same audit log.
func newCallCommand(a *app) *cobra.Command {
	var as string
	cmd := &cobra.Command{
		Use:   "call SERVER TOOL [NAME=TEXT | NAME:=JSON | -]…",
		Short: "call a tool through the gateway, as an agent would",
		Long: "call goes through the gateway: identity, policy and upstream, just as for an agent.\n\n" +
			"NAME=TEXT is an argument that is text, NAME:=JSON one of any type. A single - reads all arguments as a JSON\n" +
			"object from standard input. The key comes from --key, --key-file, or .gatehouse/key in this folder for a\n" +
			"gateway on this machine.",
		Example: "  gwctl call demo echo message=hello --agent researcher\n" +
			"  gwctl call demo add a:=40 b:=2 --agent researcher -o json",
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			arguments, err := a.arguments(args[2:])
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), toolCall{Agent: as, Server: args[0], Tool: args[1], Args: arguments})
		},
		ValidArgsFunction: a.completeCall,
	}
	cmd.Flags().StringVar(&as, "agent", "", "the agent to act as; without it, the key's only one")
	_ = cmd.RegisterFlagCompletionFunc("agent", a.completeNames(config.Policies)) // the flag is there
	return cmd
}

// toolCall is the arguments of the gateway's execute_tool.
type toolCall struct {
	// Agent is left out where it is empty: the gateway then takes the key's only agent, or the fallback.
	Agent     string          `json:"agent_id,omitempty"`
	Server    string          `json:"server"`
	Tool      string          `json:"tool"`
	Args      json.RawMessage `json:"args"`
	TimeoutMS int64           `json:"timeout_ms"`
}

// arguments makes the JSON object of the words after the tool.
func (a *app) arguments(words []string) (json.RawMessage, error) {
	if len(words) == 1 && words[0] == "-" {
		return readArguments(a.io.Stdin)
	}
	args := make(map[string]json.RawMessage)
	for _, w := range words {
		name, value, err := argument(w)
		if err != nil {
			return nil, err
		}
		// Which of two values a tool would see depends on its parser, so neither is sent.
		if _, ok := args[name]; ok {
			return nil, usagef("argument %s is given twice", name)
		}
		args[name] = value
	}
	return json.Marshal(args)
}

// readArguments takes one JSON object as it stands.
func readArguments(r io.Reader) (json.RawMessage, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("reading arguments: %w", err)
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil || object == nil {
		return nil, usagef("standard input holds no JSON object")
	}
	return data, nil
}

// argument takes NAME=TEXT or NAME:=JSON apart.
func argument(word string) (name string, value json.RawMessage, err error) {
	name, text, ok := strings.Cut(word, "=")
	if !ok || name == "" || name == ":" {
		return "", nil, usagef("argument %s: want NAME=TEXT or NAME:=JSON", word)
	}
	if typed, ok := strings.CutSuffix(name, ":"); ok {
		if !json.Valid([]byte(text)) { // the raw text is sent, so that numbers keep all their digits
			return "", nil, usagef("argument %s: %s is no JSON; %s=TEXT is for text", typed, text, typed)
		}
		return typed, json.RawMessage(text), nil
	}
	value, err = json.Marshal(text)
	return name, value, err
}

// call performs the call and prints the result, or fails with what the tool or the gateway said.
func (a *app) call(ctx context.Context, c toolCall) error {
	client, err := a.agent()
	if err != nil {
		return err
	}
	// The gateway cancels the upstream when the time is up; gwctl leaving alone would let a legacy call run on.
	c.TimeoutMS = max(1, a.timeout.Milliseconds())
	bounded, cancel := context.WithTimeout(ctx, a.timeout+callGrace)
	defer cancel()
	raw, err := client.CallTool(bounded, "execute_tool", c)
	if err != nil {
		return a.callFailure(ctx, err)
	}
	// Only what decides the exit code is decoded; the result itself is printed from its own bytes.
	var r result
	if err := json.Unmarshal(raw, &r); err != nil {
		return fmt.Errorf("reading result: %w", err)
	}
	if r.IsError {
		return fail(codeTool, errors.New(r.complaint()), "")
	}
	return a.show(view{data: raw, names: []string{config.Servers + "/" + c.Server + "/" + c.Tool}, people: sentence("%s", r.text())})
}

// callFailure says why there was no result.
func (a *app) callFailure(ctx context.Context, err error) error {
	var status *agent.StatusError
	var refusal *agent.RPCError
	switch {
	case errors.As(err, &status) && (status.Code == http.StatusUnauthorized || status.Code == http.StatusForbidden):
		return fail(codeUnauthenticated, err, "`gwctl key create` makes a key; give it with GWCTL_KEY or --key-file")
	// Something answered that is no gateway, or not on this path: the URL is the first thing to look at.
	case errors.As(err, &status), errors.As(err, &refusal):
		return fail(codeInternal, err, "is --gateway "+a.gateway+" the MCP endpoint of a gateway?")
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fail(codeUnreachable, err, "start one with `gwctl up` or gwproxy, or name another with --gateway")
}

// agent makes a client of the gateway.
func (a *app) agent() (*agent.Client, error) {
	if u, err := url.Parse(a.gateway); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, usagef("--gateway %s: want a URL such as %s", a.gateway, defaultGateway)
	}
	key, err := a.apiKey()
	if err != nil {
		return nil, err
	}
	return &agent.Client{URL: a.gateway, Key: key}, nil
}

// apiKey finds the key. One that lies in the folder goes to this machine only.
func (a *app) apiKey() (string, error) {
	if a.key != "" {
		return a.key, nil
	}
	file, optional := a.keyFile, false
	if file == "" {
		if !isLoopback(a.gateway) {
			return "", nil
		}
		file, optional = filepath.Join(defaultDataDir, "key"), true
	}
	data, err := os.ReadFile(file)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading key: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

// isLoopback says whether a URL is on this machine.
func isLoopback(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return false
	}
	// Names other than localhost are not looked up: what they mean can change between the question and the call.
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// result is what gwctl reads of a tool's result; it prints the rest unread.
type result struct {
	IsError bool `json:"isError"`
	Content []struct {
		Type     string          `json:"type"`
		Text     string          `json:"text"`
		Data     string          `json:"data"`
		MimeType string          `json:"mimeType"`
		URI      string          `json:"uri"`
		Resource json.RawMessage `json:"resource"`
	} `json:"content"`
	Structured json.RawMessage `json:"structuredContent"`
}

// complaint is why a call failed: the gateway's code and message, or what the tool said.
func (r *result) complaint() string {
	var refusal struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	// A tool's own structured error may look much the same; its code then says as much as its text.
	if json.Unmarshal(r.Structured, &refusal) == nil && refusal.Error.Code != "" {
		return refusal.Error.Code + ": " + refusal.Error.Message
	}
	return r.text()
}

// text is the result for people: texts as they are, one line for what cannot be shown.
func (r *result) text() string {
	var lines []string
	for _, c := range r.Content {
		switch {
		case c.Type == "text":
			lines = append(lines, c.Text)
		case c.Data != "":
			lines = append(lines, fmt.Sprintf("[%s, %s, %d bytes of base64; -o json shows them]", c.Type, c.MimeType, len(c.Data)))
		case c.URI != "":
			lines = append(lines, fmt.Sprintf("[%s %s]", c.Type, c.URI))
		default:
			lines = append(lines, fmt.Sprintf("[%s %s]", c.Type, c.Resource))
		}
	}
	if len(lines) == 0 && len(r.Structured) > 0 {
		lines = append(lines, string(r.Structured))
	}
	return strings.Join(lines, "\n")
}
