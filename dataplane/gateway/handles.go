package gateway

import (
	"bytes"
	"context"
	"fmt"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
)

// unseal puts the server's own words in the place of what the agent got for them: the state of a question, the ids of
// tasks.
func (f *flight) unseal(ctx context.Context, u Upstream, c *mcp.Call) error {
	d := f.direct
	switch {
	case isTaskMethod(d.Name):
		return f.aimAtTask(ctx, u, c)
	case d.Name == methodListen:
		return f.listenToTasks(ctx, u, c)
	case c.Params == nil:
		return nil
	}
	if err := f.augmented(ctx, u, c); err != nil {
		return err
	}
	if from, _, err := mcp.Locate(c.Params, "requestState"); d.Era == mcp.Legacy || from == 0 && err == nil {
		return nil
	}
	h, err := u.Hello(ctx, c)
	if err != nil || h.Era == mcp.Legacy { // which has none: what is there was not the server's
		return err
	}
	c.Params, err = f.openState(c.Params)
	return err
}

// reseal is the reverse for what the server answers. It owns the reply.
func (f *flight) reseal(c *mcp.Call, reply *mcp.Reply) (*mcp.Reply, error) {
	if reply.Error != nil || len(reply.Result) == 0 || reply.Result[0] != '{' {
		return reply, nil //nolint:nilerr // an error of the server's passes as it is
	}
	if reply.Facts.Plain() { // which has no place for anything sealed
		return reply, nil
	}
	if f.call.Era == mcp.Legacy {
		return f.resealLegacy(c, reply)
	}
	from, to, err := mcp.Locate(reply.Result, "resultType")
	if err != nil {
		reply.Close()
		return nil, fmt.Errorf("%w: server %s sent a result of two types", mcp.ErrInvalidResponse, f.direct.Server)
	}
	switch kind := string(reply.Result[from:to]); {
	case from == 0, kind == complete:
		return f.resealTask(reply)
	case kind == inputRequired:
		return f.sealState(reply)
	case kind == `"task"` && c.Method == methodToolsCall && f.declares(tasksExtension):
		return f.sealCreated(reply, "taskId")
	case kind != `"task"` && f.declares(""):
		return reply, nil // of an extension that we do not know
	default:
		reply.Close()
		return nil, refuse(mcp.UpstreamError, fmt.Sprintf(
			"server %q sent a result of the type %.64s, of which this client has not said that it takes it", f.direct.Server, kind))
	}
}

// resealTask calls the task that the request named by the agent's name for it.
func (f *flight) resealTask(reply *mcp.Reply) (*mcp.Reply, error) {
	if f.direct.task.text == nil {
		return reply, nil
	}
	from, to, err := mcp.Locate(reply.Result, "taskId")
	if err != nil || from == 0 {
		return reply, nil //nolint:nilerr // nothing that can be read as a task
	}
	return splice(reply, from, to, f.direct.task.text), nil
}

// sealCreated gives the agent a name for a task that the server has made for it.
func (f *flight) sealCreated(reply *mcp.Reply, path ...string) (*mcp.Reply, error) {
	from, to, err := mcp.Locate(reply.Result, path...)
	id, ok := mcp.Unquote(reply.Result[from:to])
	if err != nil || from == 0 || !ok {
		reply.Close()
		return nil, fmt.Errorf("%w: server %s made a task without an id", mcp.ErrInvalidResponse, f.direct.Server)
	}
	text := f.sealTask(f.direct.Subject, id)
	if f.call.Era == mcp.Legacy {
		f.g.tasks.note(f.owner(), id, text)
	}
	return splice(reply, from, to, text), nil
}

// resealLegacy deals with an answer to an agent of the legacy era: only where it has to do with tasks there is anything to do.
func (f *flight) resealLegacy(c *mcp.Call, reply *mcp.Reply) (*mcp.Reply, error) {
	if !bytes.Contains(reply.Result, []byte(`"taskId"`)) {
		return reply, nil
	}
	if c.Method == methodToolsCall && c.Own {
		if from, _, err := mcp.Locate(reply.Result, "task"); err == nil && from > 0 {
			return f.sealCreated(reply, "task", "taskId")
		}
	}
	if c.Method == methodTaskList {
		return f.ownList(reply)
	}
	if renamed := f.renamed(reply.Result); &renamed[0] != &reply.Result[0] {
		reply.Close()
		return &mcp.Reply{Result: renamed}, nil
	}
	return reply, nil
}

// ownList leaves the agent's own tasks in a page of the server's.
func (f *flight) ownList(reply *mcp.Reply) (*mcp.Reply, error) {
	from, to, err := mcp.Locate(reply.Result, "tasks")
	if err != nil || from == 0 {
		reply.Close()
		return nil, fmt.Errorf("%w: server %s sent a list of tasks that is none", mcp.ErrInvalidResponse, f.direct.Server)
	}
	own := []byte{'['}
	err = mcp.Elements(reply.Result[from:to], func(task []byte) error {
		renamed := f.renamed(task)
		if &renamed[0] == &task[0] { // not known to be the agent's
			return nil
		}
		if len(own) > 1 {
			own = append(own, ',')
		}
		own = append(own, renamed...)
		return nil
	})
	if err != nil {
		reply.Close()
		return nil, fmt.Errorf("%w: server %s sent a list of tasks that is none", mcp.ErrInvalidResponse, f.direct.Server)
	}
	return splice(reply, from, to, append(own, ']')), nil
}

// renamed is a message of the legacy era in which the agent's tasks have the names that the agent has for them; where it
// names none of them, it is the message itself.
func (f *flight) renamed(message []byte) []byte {
	for _, path := range [][]string{{"taskId"}, {"_meta", relatedTask, "taskId"}} {
		from, to, err := mcp.Locate(message, path...)
		if err != nil || from == 0 {
			continue
		}
		id, _ := mcp.Unquote(message[from:to])
		if text := f.g.tasks.text(f.owner(), id); text != nil {
			message = mcp.AppendSpliced(make([]byte, 0, len(message)+len(text)), message, from, to, text)
		}
	}
	return message
}

// unrelated is what an agent says of a task with the server's name for it: the reverse of renamed, for answers.
func (f *flight) unrelated(message []byte) []byte {
	from, to, err := mcp.Locate(message, "_meta", relatedTask, "taskId")
	if err != nil || from == 0 {
		return message
	}
	t, _, err := f.readTask(message[from:to])
	if err != nil {
		return message
	}
	return mcp.AppendSpliced(nil, message, from, to, mcp.AppendString(nil, t.id))
}

// told is what the agent is told where a server of the legacy era speaks of tasks; nil is nothing, since the task is not
// known to be the agent's.
func (f *flight) told(method string, params []byte) []byte {
	if !bytes.Contains(params, []byte(`"taskId"`)) {
		return params
	}
	renamed := f.renamed(params)
	if method == noteTaskStatus && &renamed[0] == &params[0] {
		return nil
	}
	return renamed
}

// listenToTasks aims a subscription at the tasks that the agent wants to hear of, where the server offers that.
func (f *flight) listenToTasks(ctx context.Context, u Upstream, c *mcp.Call) error {
	if f.call.Era == mcp.Legacy {
		return nil
	}
	from, to, err := mcp.Locate(c.Params, "notifications", "taskIds")
	if err != nil || from == 0 {
		return nil //nolint:nilerr // what is ambiguous is refused where it is read
	}
	h, err := u.Hello(ctx, c)
	if err != nil {
		return err
	}
	ids := []byte{'['}
	if keepsTasks(h, mcp.Modern) { // else none are heard of, which the acknowledgement says
		if err := f.mayUseTasks(h); err != nil {
			return err
		}
		f.direct.listening = make(map[string][]byte)
		err := mcp.Elements(c.Params[from:to], func(text []byte) error {
			t, err := f.openTask(text)
			if err != nil {
				return err
			}
			if len(ids) > 1 {
				ids = append(ids, ',')
			}
			ids, f.direct.listening[t.id] = mcp.AppendString(ids, t.id), t.text
			return nil
		})
		if err != nil {
			return err
		}
	}
	c.Params = mcp.AppendSpliced(nil, c.Params, from, to, append(ids, ']'))
	return nil
}

// heard is what a modern agent hears of tasks on a stream of changes, under its own names for them; nil is nothing.
func (f *flight) heard(method string, params []byte) []byte {
	path := []string{"taskId"}
	if method == methodAcknowledged {
		path = []string{"notifications", "taskIds"}
	}
	from, to, err := mcp.Locate(params, path...)
	if err != nil || from == 0 {
		if method == noteTask {
			return nil
		}
		return params
	}
	text := params[from:to]
	if method == noteTask {
		id, _ := mcp.Unquote(text)
		text = f.direct.listening[id]
	} else {
		text = f.heardOf(text)
	}
	if text == nil {
		return nil
	}
	return mcp.AppendSpliced(nil, params, from, to, text)
}

// heardOf is a list of the server's ids of tasks in the agent's names for them.
func (f *flight) heardOf(ids []byte) []byte {
	dst := []byte{'['}
	err := mcp.Elements(ids, func(raw []byte) error {
		id, _ := mcp.Unquote(raw)
		if text := f.direct.listening[id]; text != nil {
			if len(dst) > 1 {
				dst = append(dst, ',')
			}
			dst = append(dst, text...)
		}
		return nil
	})
	if err != nil {
		return []byte("[]")
	}
	return append(dst, ']')
}

// tell passes a notification of an agent's on, where the session at the server is its own: on one that others share, what
// one says would be said of all.
func (f *flight) tell(ctx context.Context, u Upstream, c *mcp.Call) (*mcp.Reply, error) {
	f.entry.Outcome = record.OK
	if c.Params != nil {
		c.Params = f.unrelated(c.Params)
	}
	return &mcp.Reply{Result: []byte("{}")}, u.Notify(ctx, c)
}
