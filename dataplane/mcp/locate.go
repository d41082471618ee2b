package mcp

import "fmt"

// Locate finds the value at a path of members in an object that has been checked: it is object[from:to], and from is 0 where
// there is none. It refuses a member of the path that stands twice: nobody can tell which one others read.
func Locate(object []byte, path ...string) (from, to int, err error) {
	to = len(object)
	for _, name := range path {
		w := walker{data: object[:to], pos: from}
		if from, to, err = w.locate(name); from == 0 || err != nil {
			return 0, 0, err
		}
	}
	return from, to, nil
}

// locate finds the value of one member; a value that is no object has none.
func (w *walker) locate(want string) (from, to int, err error) {
	for {
		name, value, ok := w.next()
		switch {
		case !ok:
			return from, to, nil
		case string(unescape(name)) != want:
		case from != 0:
			return 0, 0, fmt.Errorf("reading member %s: %w", string(name), errAmbiguous)
		default:
			from = cap(w.data) - cap(value) // a value is a part of the data, up to whose end it can grow
			to = from + len(value)
		}
	}
}

// AppendSpliced appends text with another value in place of text[from:to].
func AppendSpliced(dst, text []byte, from, to int, value []byte) []byte {
	return append(append(append(dst, text[:from]...), value...), text[to:]...)
}
