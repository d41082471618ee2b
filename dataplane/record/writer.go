package record

import "time"

// keep is the size above which the writer gives a buffer back to the runtime instead of keeping it for the next lines.
const keep = 4 << 20

// write is the writer's goroutine. It ends when Close has been called and nothing is left, or the last try went wrong.
func (l *Log) write() {
	defer close(l.done)
	var spare []byte // what was written last, to be filled next
	for {
		closing := l.idle() // asked before swap, so that what was appended before Close is in it
		full := l.swap(spare)
		if len(full) == 0 && closing {
			return
		}
		rest := l.flush(full)
		l.written(len(full) - len(rest))
		if len(rest) > 0 {
			return // Close has ended the tries
		}
		spare = full[:0]
		if cap(spare) > keep {
			spare = nil
		}
	}
}

// idle waits for something to write and lets more gather, and says whether Close has been called.
func (l *Log) idle() (closing bool) {
	select {
	case <-l.wake:
		return !l.wait(l.config.gather())
	case <-l.quit:
		return true
	}
}

// swap gives out the buffer that was being filled, and puts spare in its place.
func (l *Log) swap(spare []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	full := l.filling
	l.filling = spare
	return full
}

// written makes room for n more bytes.
func (l *Log) written(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting -= n
	l.room.Broadcast()
}

// flush writes b until all of it is out, or Close has been called and the write went wrong once more. It returns what
// is left.
func (l *Log) flush(b []byte) []byte {
	for len(b) > 0 {
		n, err := l.emit(b)
		b = b[n:]
		if err == nil {
			continue
		}
		if l.failed.Swap(&err) == nil {
			l.config.logger().Error("audit log cannot be written, calls will wait", "error", err)
		}
		if !l.pause() {
			return b
		}
	}
	if l.failed.Swap(nil) != nil {
		l.config.logger().Info("audit log can be written again")
	}
	return nil
}

// emit is one write, to the file that is open now.
func (l *Log) emit(b []byte) (int, error) {
	l.out.Lock()
	defer l.out.Unlock()
	return l.out.w.Write(b)
}

// pause waits before the next try; false says that there is none, because Close has been called.
func (l *Log) pause() bool { return l.wait(l.config.retryDelay()) }

// wait lets d go by; false says that Close has been called meanwhile.
func (l *Log) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.quit:
		return false
	}
}
