package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startTest runs the driver in testdata, which needs node but no packages.
func startTest(t *testing.T) *Peer {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		if Required() {
			t.Fatal(err)
		}
		t.Skip(ErrNotInstalled)
	}
	script, err := filepath.Abs(filepath.Join("testdata", "driver.js"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := start(t.Output(), "test", script)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	if _, err := p.Event(t.Context(), "ready", nil); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCall(t *testing.T) {
	p := startTest(t)
	if got := p.Do(t, "echo", Args{"value": "é\u2028<&"}).Text("value"); got != "é\u2028<&" {
		t.Errorf("echo gave %q", got)
	}
	if got := p.Do(t, "echo", Args{"value": nil}); got.Has("value") || got.Bytes("value") != nil {
		t.Errorf("null came back as %s", got)
	}
	if got := p.Do(t, "echo", Args{"value": ""}).Bytes("value"); got == nil || len(got) != 0 {
		t.Errorf("empty bytes came back as %v", got)
	}
	big := Pattern(7, 4<<20)
	if got := p.Do(t, "length", Args{"value": Hex(big)}).Int("length"); got != len(big) {
		t.Errorf("a command of %d bytes arrived with %d", len(big), got)
	}
	if got := p.Do(t, "pattern", Args{"start": 7, "length": len(big)}).Bytes("value"); !bytes.Equal(got, big) {
		t.Error("the two ends make different patterns")
	}
}

func TestCallError(t *testing.T) {
	p := startTest(t)
	_, err := p.Call(t.Context(), "fail", nil)
	e, ok := errors.AsType[*CallError](err)
	if !ok || *e != (CallError{Kind: "test", Command: "fail", Message: "as asked", Code: "ASKED"}) {
		t.Errorf("fail gave %v", err)
	}
	if _, err := p.Call(t.Context(), "toString", nil); err == nil || !strings.Contains(err.Error(), "no such command") {
		t.Errorf("an unknown command gave %v", err)
	}
	if _, err := p.Call(t.Context(), "echo", Args{"value": func() {}}); err == nil {
		t.Error("a function went through JSON")
	}
	p.Do(t, "echo", Args{"value": 1})
}

func TestCallsOverlap(t *testing.T) {
	p := startTest(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			ms := 20 * (16 - i)
			m, err := p.Call(t.Context(), "later", Args{"ms": ms})
			if err != nil || m.Int("after") != ms {
				t.Errorf("later %d gave %v, %v", ms, m, err)
			}
		})
	}
	wg.Wait()
}

func TestCallDeadline(t *testing.T) {
	p := startTest(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Call(ctx, "later", Args{"ms": 200}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a late answer gave %v", err)
	}
	// The late answer is nobody's: the next one is for the next call.
	if got := p.Do(t, "later", Args{"ms": 300}).Int("after"); got != 300 {
		t.Errorf("got the answer of another call: %d", got)
	}
}

func TestEvents(t *testing.T) {
	p := startTest(t)
	var events []Args
	for i := range 5 {
		events = append(events, Args{"ev": "download", "id": "a", "index": i, "size": 10})
	}
	events = append(events, Args{"ev": "sync", "id": "b"}, Args{"ev": "sync", "id": "a", "list": []int{1, 2}})
	p.Do(t, "emit", Args{"events": events})

	// Out of order by property, then the rest in order.
	for _, where := range []Args{{"index": uint64(3)}, {"id": "a"}, {}, nil, {"index": 4, "id": "a"}} {
		m, err := p.Event(t.Context(), "download", where)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%v matched %s", where, m)
	}
	if m, err := p.Event(t.Context(), "sync", Args{"list": []int{1, 2}}); err != nil || m.Text("id") != "a" {
		t.Errorf("sync gave %v, %v", m, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if m, err := p.Event(ctx, "download", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an event was given out twice: %v, %v", m, err)
	}
	if m, err := p.Event(t.Context(), "sync", nil); err != nil || m.Text("id") != "b" {
		t.Errorf("what was passed over is gone: %v, %v", m, err)
	}
}

// Waiters that take events of each other's surroundings must not lose any.
func TestEventsOverlap(t *testing.T) {
	p := startTest(t)
	const waiters, rounds = 8, 50
	var wg sync.WaitGroup
	for w := range waiters {
		wg.Go(func() {
			for i := range rounds {
				if _, err := p.Event(t.Context(), "tick", Args{"waiter": w, "round": i}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range rounds {
		var events []Args
		for w := range waiters {
			events = append(events, Args{"ev": "tick", "waiter": (w * 5) % waiters, "round": i})
		}
		p.Do(t, "emit", Args{"events": events})
	}
	wg.Wait()
}

func TestUncaught(t *testing.T) {
	p := startTest(t)
	p.Do(t, "crash", nil)
	m, err := p.Event(t.Context(), "uncaught", nil)
	if err != nil || m.Text("error") != "nobody caught this" {
		t.Errorf("got %v, %v", m, err)
	}
}

func TestExit(t *testing.T) {
	p := startTest(t)
	waiting := make(chan error, 1)
	go func() {
		_, err := p.Event(t.Context(), "nothing", nil)
		waiting <- err
	}()
	if _, err := p.Call(t.Context(), "exit", Args{"status": 3}); !errors.Is(err, ErrExited) {
		t.Errorf("the call that was pending gave %v", err)
	}
	if err := <-waiting; !errors.Is(err, ErrExited) || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("the wait for an event gave %v", err)
	}
	if _, err := p.Call(t.Context(), "echo", nil); !errors.Is(err, ErrExited) {
		t.Errorf("a later call gave %v", err)
	}
}

func TestGarbage(t *testing.T) {
	p := startTest(t)
	// The answer may still arrive before the line that ends the driver.
	_, _ = p.Call(t.Context(), "garbage", nil)
	if _, err := p.Event(t.Context(), "nothing", nil); err == nil || !strings.Contains(err.Error(), "debugging output") {
		t.Errorf("got %v", err)
	}
}

func TestStopKills(t *testing.T) {
	p := startTest(t)
	p.Do(t, "hang", nil)
	if _, err := p.Event(t.Context(), "hanging", nil); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	p.stop()
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("ending a driver that hangs took %v", took)
	}
	if p.cmd.ProcessState == nil {
		t.Error("the process is still there")
	}
}

func TestMessagePanics(t *testing.T) {
	defer func() {
		if got := fmt.Sprint(recover()); !strings.Contains(got, `"length"`) {
			t.Errorf("the panic does not name the property: %s", got)
		}
	}()
	Message{}.Int("length")
}
