package upstream

// statusError is an HTTP answer that is no JSON-RPC message.
type statusError struct{ status int }

func (e *statusError) Error() string        { return "" }
func (e *statusError) legacyEvidence() bool { return false }
func (l *link) mirrors() bool               { return false }
