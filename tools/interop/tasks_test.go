package interop_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestTasksOfAnOlderServerBelongToTheirSession has npm's everything server run a task for one of two agents' sessions.
func TestTasksOfAnOlderServerBelongToTheirSession(t *testing.T) {
	url := startWith(t, object{"everything": stdioServer(npmServer(t, "server-everything", "stdio"), object{})}, anybody) + "/everything"
	mine, theirs := overHTTP(t, url, false), overHTTP(t, url, false)
	type task struct{ TaskID, Status string }
	var made struct{ Task task }
	read(t, mine("tools/call", object{"name": "simulate-research-query", "arguments": object{"topic": "go"}, "task": object{"ttl": 60000}}), &made)
	params := object{"taskId": made.Task.TaskID}
	var now task
	for deadline := time.Now().Add(60 * time.Second); now.Status != "completed"; time.Sleep(100 * time.Millisecond) {
		read(t, mine("tasks/get", params), &now)
		if now.TaskID != made.Task.TaskID || time.Now().After(deadline) {
			t.Fatalf("tasks/get = %+v, want the completed task %s", now, made.Task.TaskID)
		}
	}
	if got := string(resultOf(t, mine("tasks/result", params))); !strings.Contains(got, "Research Report") || !strings.Contains(got, made.Task.TaskID) {
		t.Errorf("tasks/result = %s, want the report, and the task's own id", got)
	}
	var list, others struct{ Tasks []task }
	read(t, mine("tasks/list", object{}), &list)
	read(t, theirs("tasks/list", object{}), &others)
	if len(list.Tasks) != 1 || list.Tasks[0].TaskID != made.Task.TaskID || len(others.Tasks) != 0 {
		t.Errorf("tasks/list = %v, and in another session %v, want the task in its own alone", list.Tasks, others.Tasks)
	}
	if got := string(theirs("tasks/get", params)); !strings.Contains(got, "-32602") {
		t.Errorf("tasks/get in another session = %s, want -32602", got)
	}
}

// read decodes the result of a message.
func read(t *testing.T, message []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(resultOf(t, message), v); err != nil {
		t.Fatalf("%v in %s", err, message)
	}
}
