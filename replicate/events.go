package replicate

import "sync"

// eventQueue calls functions in order and never two at a time, on a goroutine that
// lives as long as there are any.
type eventQueue struct {
	mu      sync.Mutex
	queue   []func()
	running sync.WaitGroup
	busy    bool
}

// put adds a function. Any lock may be held.
func (q *eventQueue) put(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = append(q.queue, f)
	if !q.busy {
		q.busy = true
		q.running.Go(q.routineCall)
	}
}

func (q *eventQueue) routineCall() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.queue) > 0 {
		queue := q.queue
		q.queue = nil
		q.mu.Unlock()
		for _, f := range queue {
			f()
		}
		q.mu.Lock()
	}
	q.busy = false
}

// wait waits until all is called. Nobody may put anything more.
func (q *eventQueue) wait() { q.running.Wait() }
