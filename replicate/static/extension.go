package static

import (
	"context"
	"slices"
	"sync"
)

// Bounds of the extension messages that wait to be sent.
const (
	maxQueuedMessages = 1024
	maxQueuedBytes    = 1 << 20
)

// extensions is the part of a stream that is about extensions.
type extensions struct {
	local []string      // ours, sorted
	room  chan struct{} // holds a token when messages were taken

	mu       sync.Mutex
	remoteID []byte
	remote   []string // of the remote, in its order
	shaken   bool
	handlers map[string]func([]byte)
	queue    []byte // frames to be sent
	queued   int    // how many
}

// shake notes the remote's handshake.
func (e *extensions) shake(id []byte, names []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.remoteID, e.remote, e.shaken = id, names, true
}

// handle passes a message to the handler of its extension, if we have it.
func (e *extensions) handle(number int, data []byte) {
	e.mu.Lock()
	var handler func([]byte)
	if number < len(e.remote) && slices.Contains(e.local, e.remote[number]) {
		handler = e.handlers[e.remote[number]]
	}
	e.mu.Unlock()
	if handler != nil {
		handler(data)
	}
}

// take appends the frames to be sent to dst.
func (e *extensions) take(dst []byte) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.queued == 0 {
		return dst
	}
	dst = append(dst, e.queue...)
	e.queue, e.queued = e.queue[:0], 0
	if cap(e.queue) > maxQueuedBytes {
		e.queue = nil
	}
	select {
	case e.room <- struct{}{}:
	default:
	}
	return dst
}

// RemoteID returns what the remote calls itself, nil before its handshake. It may be of any
// length, and is not to be modified.
func (s *Stream) RemoteID() []byte {
	s.extensions.mu.Lock()
	defer s.extensions.mu.Unlock()
	return s.extensions.remoteID
}

// RemoteSupports reports whether both sides use an extension. It is false before the
// handshake.
func (s *Stream) RemoteSupports(extension string) bool {
	e := &s.extensions
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.shaken && slices.Contains(e.local, extension) && slices.Contains(e.remote, extension)
}

// Handle sets what is called with the messages of an extension that the host uses; nil
// ignores them. The function is called by the goroutine that reads, one message after the
// other: while it runs nothing else arrives. The message is valid during the call.
func (s *Stream) Handle(extension string, handler func(message []byte)) {
	e := &s.extensions
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.handlers == nil {
		e.handlers = make(map[string]func([]byte))
	}
	e.handlers[extension] = handler
}

// Send sends a message of an extension. sent is false, and nothing was sent, when the remote
// does not support it, or has not shaken hands. It waits while more than 1,024 messages or 1
// MiB are on their way to the connection. A nil error means that the message is on its way,
// not that it arrived. The message is not kept.
func (s *Stream) Send(ctx context.Context, extension string, message []byte) (sent bool, err error) {
	if len(message) >= MaxFrame {
		return false, ErrExtensionSize
	}
	if !s.RemoteSupports(extension) {
		return false, nil
	}
	e := &s.extensions
	number := slices.Index(e.local, extension)
	for {
		e.mu.Lock()
		if e.queued == 0 || e.queued < maxQueuedMessages && len(e.queue)+len(message) < maxQueuedBytes {
			e.queue = appendExtension(e.queue, number, message)
			e.queued++
			e.mu.Unlock()
			s.poke()
			return true, nil
		}
		e.mu.Unlock()
		select {
		case <-e.room:
		case <-s.done:
			return false, ErrClosed
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}
