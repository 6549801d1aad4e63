package engine

import (
	"sync"
	"sync/atomic"
)

// gate counts the calls that use something and waits for them when it is shut.
// Entering costs one atomic addition.
type gate struct {
	n       atomic.Int64 // calls inside; gateShut is added when shut
	once    sync.Once
	drained chan struct{}
}

// gateShut is more than the number of calls can ever be.
const gateShut = 1 << 62

// newGate returns an open gate.
func newGate() *gate { return &gate{drained: make(chan struct{})} }

// enter reports whether the gate is open. If so, leave must be called.
func (g *gate) enter() bool {
	if g.n.Add(1) < gateShut {
		return true
	}
	g.leave()
	return false
}

func (g *gate) leave() {
	if g.n.Add(-1) == gateShut {
		g.once.Do(func() { close(g.drained) })
	}
}

// shut refuses further calls and waits for those inside. It must be called once.
func (g *gate) shut() {
	if g.n.Add(gateShut) == gateShut {
		g.once.Do(func() { close(g.drained) })
	}
	<-g.drained
}
