package mcp

// PlainEnd finds the end of a run of plain characters, for the fuzz target.
func PlainEnd(data []byte, pos int) (end int, ascii bool) { return plainEnd(data, pos) }
