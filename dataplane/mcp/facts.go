package mcp

// Facts are what the gateway wants to know of a result, found out by the scan that checks it, so that a large one is not
// read again.
type Facts struct {
	// Known says that the result was looked at.
	Known bool
	// Typed says that it has a resultType, or members of that name or of isError's that two readers could take differently:
	// such a result is not touched.
	Typed bool
	// Failed says that its isError is true.
	Failed bool
	// More says that it has members other than content and isError, or names of those that are escaped.
	More bool

	ambiguous, judged bool
}

// Plain says that a result is known to have no members but content and isError: what most calls of a tool return.
func (f *Facts) Plain() bool { return f.Known && !f.More }

// take looks at one member of the result, named with its quotes.
func (f *Facts) take(name, value []byte) {
	const resultType, isError = "resultType", "isError"
	if string(name) == `"content"` {
		return
	}
	f.More = f.More || string(name) != `"isError"`
	if n := len(name) - 2; n != len(resultType) && n != len(isError) && n < len(`\u0069sError`) {
		return // neither, not even escaped: what almost all members are
	}
	switch plain := unescape(name); {
	case string(plain) == resultType && !f.Typed:
		f.Typed = true
	case string(plain) == isError && !f.judged:
		f.judged = true
		f.Failed = string(value) == "true" && !f.ambiguous
	case len(plain) == len(resultType) && equalFold(plain, resultType), len(plain) == len(isError) && equalFold(plain, isError):
		f.ambiguous, f.Typed, f.Failed = true, true, false
	}
}
