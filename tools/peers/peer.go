package peers

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// Patience is how long [Peer.Call] and [Peer.Event] wait when their context has no deadline. An unanswered request in a
// DHT takes 7.5 seconds.
const Patience = 30 * time.Second

// ErrExited says that the driver's process has ended.
var ErrExited = errors.New("peers: the reference peer has exited")

// CallError is what a driver answered to a command that failed.
type CallError struct {
	Kind    Kind
	Command string
	Message string // the text of the JavaScript error
	Code    string // its code property, empty if it has none
}

// Error names the peer, the command and the JavaScript error.
func (e *CallError) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("%s %s: %s", e.Kind, e.Command, e.Message)
	}
	return fmt.Sprintf("%s %s: %s (%s)", e.Kind, e.Command, e.Message, e.Code)
}

// Peer is a running driver. Its methods may be called from any goroutine.
type Peer struct {
	kind Kind
	cmd  *exec.Cmd

	stdin   sync.Mutex // serialises lines
	input   io.WriteCloser
	encoder *json.Encoder

	mu struct {
		sync.Mutex
		calls   map[uint64]chan Message
		last    uint64
		events  []numbered    // not taken yet, oldest first
		arrived uint64        // how many events there were
		changed chan struct{} // closed and replaced whenever an event arrives; only closed when exited is set
		exited  error
	}
	done chan struct{} // closed when the process has ended and its output is read
}

// numbered is an event and its place among all events of the driver, from 1.
type numbered struct {
	Message
	place uint64
}

// Start runs the driver of a kind until the test ends. It skips the test when the reference implementation is not
// installed, or fails it where the environment says CAIRN_PEERS=required.
//
// At the end of the test the driver is told to leave by closing its stdin; after two seconds its process group is killed.
// What it wrote to stderr is in the log of the test.
func Start(t testing.TB, kind Kind) *Peer {
	t.Helper()
	dir := dirOrSkip(t, kind)
	p, err := start(t.Output(), kind, filepath.Join(dir, "peer.js"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	if _, err := p.Event(ctx, "ready", nil); err != nil {
		t.Fatal(err)
	}
	return p
}

// start runs a script under node; stderr gets what it complains about.
func start(stderr io.Writer, kind Kind, script string) (*Peer, error) {
	// Old packages use what node has deprecated since; the warnings say nothing about us.
	cmd := exec.Command("node", "--no-deprecation", script)
	cmd.Dir = filepath.Dir(script)
	cmd.Stderr = stderr
	cmd.WaitDelay = 2 * time.Second
	ownGroup(cmd)
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Peer{kind: kind, cmd: cmd, input: input, encoder: json.NewEncoder(input), done: make(chan struct{})}
	p.mu.calls = make(map[uint64]chan Message)
	p.mu.changed = make(chan struct{})
	go p.read(output)
	return p, nil
}

// stop ends the process and waits for it.
func (p *Peer) stop() {
	p.input.Close()
	select {
	case <-p.done:
	case <-time.After(2 * time.Second):
		killGroup(p.cmd)
		<-p.done
	}
}

// Call runs a command and returns its answer. The error is a [*CallError] when the driver reported one, [ErrExited] when
// the driver is gone, or the context's.
func (p *Peer) Call(ctx context.Context, command string, args Args) (Message, error) {
	ctx, cancel := patient(ctx)
	defer cancel()

	line := make(map[string]any, len(args)+2)
	for name, value := range args {
		line[name] = value
	}
	answer := make(chan Message, 1)
	p.mu.Lock()
	if err := p.mu.exited; err != nil {
		p.mu.Unlock()
		return nil, fmt.Errorf("%s %s: %w", p.kind, command, err)
	}
	p.mu.last++
	n := p.mu.last
	p.mu.calls[n] = answer
	p.mu.Unlock()
	defer p.forget(n)

	line["n"], line["cmd"] = n, command
	p.stdin.Lock()
	err := p.encoder.Encode(line)
	p.stdin.Unlock()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", p.kind, command, err)
	}
	select {
	case m := <-answer:
		return p.result(command, m)
	case <-p.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("%s %s: no answer: %w", p.kind, command, ctx.Err())
	}
	select {
	case m := <-answer: // it answered and left
		return p.result(command, m)
	default:
		return nil, fmt.Errorf("%s %s: %w", p.kind, command, ErrExited)
	}
}

func (p *Peer) forget(n uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.mu.calls, n)
}

func (p *Peer) result(command string, m Message) (Message, error) {
	if m.Has("ok") {
		return m, nil
	}
	e := &CallError{Kind: p.kind, Command: command}
	if m.Has("error") {
		e.Message = m.Text("error")
	}
	if m.Has("code") {
		e.Code = fmt.Sprint(get[any](m, "code"))
	}
	return nil, e
}

// Event waits for an event of this name that has all the given properties, and takes it. Events that came before the call
// count, in the order in which they came; those that are not taken stay for later calls.
func (p *Peer) Event(ctx context.Context, name string, where Args) (Message, error) {
	ctx, cancel := patient(ctx)
	defer cancel()
	want, err := plain(where)
	if err != nil {
		return nil, err
	}
	for seen := uint64(0); ; {
		p.mu.Lock()
		for i, e := range p.mu.events {
			if e.place > seen && e.Name() == name && e.matches(want) {
				p.mu.events = slices.Delete(p.mu.events, i, i+1)
				p.mu.Unlock()
				return e.Message, nil
			}
		}
		seen = p.mu.arrived
		changed, exited := p.mu.changed, p.mu.exited
		p.mu.Unlock()
		if exited != nil {
			return nil, fmt.Errorf("%s: waiting for the event %s %v: %w", p.kind, name, where, exited)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: waiting for the event %s %v: %w", p.kind, name, where, ctx.Err())
		}
	}
}

// Do is Call for a command that must succeed: an error ends the test. Like t.Fatal, it is for the test's own goroutine.
func (p *Peer) Do(t testing.TB, command string, args Args) Message {
	t.Helper()
	m, err := p.Call(t.Context(), command, args)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Await is Event for an event that must come: an error ends the test. Like t.Fatal, it is for the test's own goroutine.
func (p *Peer) Await(t testing.TB, name string, where Args) Message {
	t.Helper()
	m, err := p.Event(t.Context(), name, where)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// read hands out the lines of the driver until it closes its output.
func (p *Peer) read(output io.Reader) {
	defer close(p.done)
	lines := bufio.NewReaderSize(output, 1<<16)
	failure := ErrExited
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var m Message
		if err := json.Unmarshal(line, &m); err != nil {
			// A library that prints to stdout breaks the protocol: say what it printed and stop.
			failure = fmt.Errorf("peers: %s wrote %.200q: %w", p.kind, line, err)
			killGroup(p.cmd)
			break
		}
		p.deliver(m)
	}
	_, _ = io.Copy(io.Discard, lines)
	if err := p.cmd.Wait(); err != nil && errors.Is(failure, ErrExited) {
		failure = fmt.Errorf("%w: %w", ErrExited, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.exited = failure
	close(p.mu.changed)
}

func (p *Peer) deliver(m Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.Has("ev") {
		p.mu.arrived++
		p.mu.events = append(p.mu.events, numbered{m, p.mu.arrived})
		close(p.mu.changed)
		p.mu.changed = make(chan struct{})
		return
	}
	if !m.Has("n") {
		return
	}
	if answer := p.mu.calls[get[uint64](m, "n")]; answer != nil {
		answer <- m
	}
}

// patient gives a context without a deadline one.
func patient(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, Patience)
}
