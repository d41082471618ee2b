package table

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
)

// What a server gets where its definition gives none.
const (
	defaultCallTimeout    = 60 * time.Second
	defaultMaxCallTimeout = 10 * time.Minute
)

// addServer indexes one server.
func (t *Table) addServer(name string, spec *gatehousev1.Server) error {
	s := &Server{Name: name, Spec: spec}
	if err := t.checkServer(s); err != nil {
		return err
	}
	if err := s.readTimeouts(); err != nil {
		return err
	}
	if err := s.readQuestions(); err != nil {
		return err
	}
	key, err := connectionKey(name, spec)
	if err != nil {
		return err
	}
	s.Key = key
	t.Servers, t.byName[name] = append(t.Servers, s), s
	return nil
}

// checkServer refuses what could be read two ways, or by a newer build in another way.
func (t *Table) checkServer(s *Server) error {
	_, session := gatehousev1.SessionMode_name[int32(s.Spec.GetSession())]
	_, transport := gatehousev1.HttpTransport_name[int32(s.Spec.GetHttp().GetTransport())]
	switch {
	case s.Name == "":
		return s.refuse("metadata.name", "a server needs a name")
	case t.byName[s.Name] != nil:
		return s.refuse("metadata.name", "there are two servers of this name")
	case s.Spec.GetTransport() == nil:
		return s.refuse("spec", "one of stdio and http is needed")
	case s.Spec.GetStdio() != nil && s.Spec.GetStdio().GetCommand() == "":
		return s.refuse("spec.stdio.command", "a command is needed")
	case s.Spec.GetHttp() != nil && s.Spec.GetHttp().GetUrl() == "":
		return s.refuse("spec.http.url", "a URL is needed")
	case !session:
		return s.refuse("spec.session", "this session mode is not known")
	case !transport:
		return s.refuse("spec.http.transport", "this transport is not known")
	}
	return nil
}

// readTimeouts sets both timeouts. The default of one never exceeds the cap.
func (s *Server) readTimeouts() error {
	var err error
	if s.CallTimeout, err = s.timeout("spec.callTimeout", s.Spec.GetCallTimeout(), defaultCallTimeout); err != nil {
		return err
	}
	if s.MaxCallTimeout, err = s.timeout("spec.maxCallTimeout", s.Spec.GetMaxCallTimeout(), defaultMaxCallTimeout); err != nil {
		return err
	}
	s.CallTimeout = min(s.CallTimeout, s.MaxCallTimeout)
	return nil
}

// timeout reads one duration; empty text means otherwise.
func (s *Server) timeout(field, text string, otherwise time.Duration) (time.Duration, error) {
	if text == "" {
		return otherwise, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, s.refuse(field, fmt.Sprintf("%q is not a duration above zero, such as 60s", text))
	}
	return d, nil
}

// refuse says what is wrong with the server.
func (s *Server) refuse(field, message string) error {
	return &policy.FieldError{Object: "servers/" + s.Name, Field: field, Message: message}
}

// connectionKey is the digest behind Server.Key. Description, timeouts and disabled are not in it: changing them keeps
// the connection, and so does a tier of questions that declares nothing of its own.
func connectionKey(name string, spec *gatehousev1.Server) (string, error) {
	c := &gatehousev1.Server{
		Transport: spec.GetTransport(), Session: spec.GetSession(), Questions: answering(spec.GetQuestions()),
	}
	if c.Session == gatehousev1.SessionMode_SESSION_MODE_UNSPECIFIED {
		c.Session = gatehousev1.SessionMode_SESSION_MODE_SHARED
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encoding the connection of servers/%s: %w", name, err)
	}
	h := sha256.New()
	h.Write([]byte(name + "\x00"))
	h.Write(b)
	return hex.EncodeToString(h.Sum(nil)), nil
}
