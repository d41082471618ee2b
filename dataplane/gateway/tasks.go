package gateway

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/seal"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

// Tasks come in two shapes that share two names and nothing else, so neither crosses the eras: the experimental ones of
// 2025-11-25, which an agent asks for and may list, and the extension of 2026-07-28, where the server decides.
//
// In both the server knows the gateway's credential alone, so an id is a secret that any agent could use. What agents get
// instead is sealed for the principal, the agent and the server; it names the tool too, on which policy decides again
// each time. Ids of the modern era need nothing else. In the legacy era servers also list tasks and tell of them unasked,
// so there the agent gets an upstream session of its own, which most servers keep tasks by, and the gateway passes on only
// what is about tasks that it has seen the agent make in this session.
const (
	tasksExtension = mcp.MetaPrefix + "tasks"
	relatedTask    = mcp.MetaPrefix + "related-task"
	methodTaskList = "tasks/list"
	// The notifications of the two shapes.
	noteTask       = "notifications/tasks"
	noteTaskStatus = "notifications/tasks/status"
)

// task is one task that a request names.
type task struct {
	id   string // the server's
	text []byte // the agent's, raw
}

// isTaskMethod says whether a method is about tasks that exist already.
func isTaskMethod(name string) bool { return strings.HasPrefix(name, "tasks/") }

// taskMethods are those of an era.
func taskMethods(era mcp.Era) []string {
	if era == mcp.Modern {
		return []string{"tasks/get", "tasks/update", "tasks/cancel"}
	}
	return []string{"tasks/get", "tasks/result", methodTaskList, "tasks/cancel"}
}

// keepsTasks says whether a server offers tasks in the shape of an era.
func keepsTasks(h *upstream.Hello, era mcp.Era) bool {
	path := []string{"capabilities", "tasks"}
	if era == mcp.Modern {
		path = []string{"capabilities", "extensions", tasksExtension}
	}
	from, _, err := mcp.Locate(h.Result, path...)
	return h.Era == era && from > 0 && err == nil
}

// declares says whether the agent declared an extension in this request; an empty name asks for any.
func (f *flight) declares(extension string) bool {
	client := f.direct.Client
	if f.call.Era == mcp.Legacy || client == nil || client.Capabilities == nil {
		return false
	}
	path := []string{"extensions", extension}
	if extension == "" {
		path = path[:1]
	}
	from, to, err := mcp.Locate(client.Capabilities, path...)
	return err == nil && from > 0 && (extension != "" || string(client.Capabilities[from:to]) != "{}")
}

// owner is whom the tasks of the request belong to.
func (f *flight) owner() taskOwner {
	return taskOwner{f.principal.Name, f.agent.ID, f.direct.Server, f.direct.Session}
}

// sealTask is what an agent calls a task of a tool's, raw.
func (f *flight) sealTask(tool, id string) []byte {
	payload := append(binary.AppendUvarint(nil, uint64(len(tool))), tool...)
	return f.seal(seal.KindTask, append(payload, id...), 0) // a task may outlive everything else
}

// readTask finds the task that an agent names, and whose tool it is. Its errors are those of open.
func (f *flight) readTask(text []byte) (t task, tool string, err error) {
	payload, err := f.open(seal.KindTask, text)
	if err != nil {
		return task{}, "", err
	}
	n, size := binary.Uvarint(payload)
	if size <= 0 || n > uint64(len(payload)-size) {
		return task{}, "", errNotTheirs
	}
	end := size + int(n) // it is no longer than the payload
	return task{id: string(payload[end:]), text: bytes.Clone(text)}, string(payload[size:end]), nil
}

// openTask is readTask for a request, which policy has to allow: the agent may have lost the tool since.
func (f *flight) openTask(text []byte) (task, error) {
	t, tool, err := f.readTask(text)
	if errors.Is(err, errNotTheirs) {
		return task{}, refuseRequest(mcp.CodeInvalidParams, "agent %q has no such task at server %q", f.agent.ID, f.direct.Server)
	}
	if err != nil {
		return task{}, err
	}
	if decision := f.agent.Tool(f.direct.Server, tool); !f.decide(decision) {
		return task{}, refuse(decision.Code, fmt.Sprintf("agent %q may not use tool %.128q of server %.128q", f.agent.ID, tool, f.direct.Server))
	}
	return t, nil
}

// aimAtTask makes a request about a task one that the server understands.
func (f *flight) aimAtTask(ctx context.Context, u Upstream, c *mcp.Call) error {
	d := f.direct
	h, err := u.Hello(ctx, c)
	if err != nil {
		return err
	}
	if err := f.mayUseTasks(h); err != nil {
		return err
	}
	c.Own = d.Era == mcp.Legacy
	if d.Name == methodTaskList {
		return nil
	}
	from, to, err := mcp.Locate(c.Params, "taskId")
	if err != nil || from == 0 {
		return refuseRequest(mcp.CodeInvalidParams, "params.taskId must be there, once")
	}
	if f.direct.task, err = f.openTask(c.Params[from:to]); err != nil {
		return err
	}
	c.Params = mcp.AppendSpliced(nil, c.Params, from, to, mcp.AppendString(nil, f.direct.task.id))
	if d.Era == mcp.Modern {
		c.Name = f.direct.task.id
	} else {
		f.g.tasks.note(f.owner(), f.direct.task.id, f.direct.task.text)
	}
	return nil
}

// mayUseTasks says whether there are tasks between this agent and this server, by the rules of the agent's era.
func (f *flight) mayUseTasks(h *upstream.Hello) error {
	d := f.direct
	known := false
	for _, name := range taskMethods(d.Era) {
		known = known || name == d.Name || !isTaskMethod(d.Name)
	}
	switch {
	case !known || !keepsTasks(h, d.Era):
		return refuseRequest(mcp.CodeMethodNotFound, "server %q has no %s for agents of the %s era", d.Server, d.Name, d.Era)
	case d.Era == mcp.Modern && !f.declares(tasksExtension):
		return &refusal{
			code: mcp.InvalidArgument, protocol: mcp.CodeMissingCapability,
			message: "the request needs the extension " + tasksExtension + ", which it does not declare",
			data:    []byte(`{"requiredCapabilities":{"extensions":{"` + tasksExtension + `":{}}}}`),
		}
	case d.Era == mcp.Legacy && d.Session == "":
		return refuseRequest(mcp.CodeInvalidParams, "a task needs a session: send initialize first, and its session id with each request")
	}
	return nil
}

// augmented prepares a call that asks for a task, as agents of the legacy era do. Where the server has none, it ignores it.
func (f *flight) augmented(ctx context.Context, u Upstream, c *mcp.Call) error {
	if from, _, err := mcp.Locate(c.Params, "task"); c.Method != methodToolsCall || from == 0 || err != nil {
		return nil //nolint:nilerr // what stands twice is the server's to refuse
	}
	h, err := u.Hello(ctx, c)
	if err != nil {
		return err
	}
	if f.call.Era == mcp.Modern && h.Era == mcp.Legacy { // for which it means something, and to the agent nothing
		c.Params, err = without(c.Params, "task")
		return err
	}
	if !keepsTasks(h, f.call.Era) || f.call.Era == mcp.Modern {
		return nil
	}
	c.Own = true
	return f.mayUseTasks(h)
}

// without is an object without one of its members.
func without(object []byte, unwanted string) ([]byte, error) {
	dst := append(make([]byte, 0, len(object)), '{')
	err := mcp.Members(object, func(name, value []byte) error {
		if plain, _ := mcp.Unquote(name); plain == unwanted {
			return nil
		}
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, name...), ':'), value...)
		return nil
	})
	return append(dst, '}'), err
}
