package demand_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cairn-feeds/cairn/bitmap/demand"
)

func ended(t *demand.Ticket) bool {
	select {
	case <-t.Done():
		return true
	default:
		return false
	}
}

func TestSettle(t *testing.T) {
	var d demand.Demand
	a := d.Add(demand.Item{Kind: demand.Get, Index: 3})
	b := d.Add(demand.Item{Kind: demand.Range, Start: 0, End: 10})
	all := d.Add(demand.Item{Kind: demand.Range, End: demand.Unbounded, Standing: true})
	if got := d.Urgent(nil); len(got) != 1 || got[0].ID != a.Item().ID {
		t.Fatalf("urgent = %v, want the get", got)
	}
	changed := d.Changed()
	failure := errors.New("seek failed")
	d.Settle(func(it demand.Item) (bool, error) {
		if it.Standing {
			t.Error("asked about a standing range")
		}
		return it.Kind == demand.Range, failure
	})
	if ended(a) || !ended(b) || ended(all) {
		t.Fatalf("ended: get %v, range %v, standing %v", ended(a), ended(b), ended(all))
	}
	if !errors.Is(b.Err(), failure) {
		t.Errorf("err = %v, want %v", b.Err(), failure)
	}
	select {
	case <-changed:
	default:
		t.Error("no signal after a change")
	}
	if !d.Waiting() {
		t.Error("not waiting although a get waits")
	}
	d.Remove(a, nil)
	d.Remove(a, failure) // has no effect any more
	if a.Err() != nil {
		t.Errorf("err = %v after a second remove", a.Err())
	}
	if d.Waiting() || d.Idle() {
		t.Errorf("waiting %v, idle %v with only a standing range", d.Waiting(), d.Idle())
	}
}

func TestCancelRange(t *testing.T) {
	var d demand.Demand
	stop := errors.New("stop")
	in := []*demand.Ticket{
		d.Add(demand.Item{Kind: demand.Get, Index: 5}),
		d.Add(demand.Item{Kind: demand.Range, Start: 5, End: 9}),
		d.Add(demand.Item{Kind: demand.Seek, Start: 6, End: 8}),
	}
	out := []*demand.Ticket{
		d.Add(demand.Item{Kind: demand.Get, Index: 10}),
		d.Add(demand.Item{Kind: demand.Range, Start: 4, End: 9}),
		d.Add(demand.Item{Kind: demand.Update, Index: 6}),
		d.Add(demand.Item{Kind: demand.Range, End: demand.Unbounded, Standing: true}),
	}
	if n := d.Cancel(5, 10, stop); n != len(in) {
		t.Errorf("canceled %d, want %d", n, len(in))
	}
	for _, k := range in {
		if !ended(k) || !errors.Is(k.Err(), stop) {
			t.Errorf("%v was not canceled", k.Item())
		}
	}
	for _, k := range out {
		if ended(k) {
			t.Errorf("%v was canceled", k.Item())
		}
	}
}

func TestCloseEndsAll(t *testing.T) {
	var d demand.Demand
	gone := errors.New("closed")
	a := d.Add(demand.Item{Kind: demand.Get})
	d.Close(gone)
	b := d.Add(demand.Item{Kind: demand.Get})
	for _, k := range []*demand.Ticket{a, b} {
		if !ended(k) || !errors.Is(k.Err(), gone) {
			t.Errorf("item %d: ended %v", k.Item().ID, ended(k))
		}
	}
}

func TestIfAvailable(t *testing.T) {
	var d demand.Demand
	want := demand.Item{Kind: demand.Get, Index: 7, IfAvailable: true}
	if k := d.Add(want); !ended(k) || !errors.Is(k.Err(), demand.ErrNotAvailable) {
		t.Fatal("without a source the item must fail at once")
	}
	has := map[uint64]bool{}
	s := d.Attach(func(it demand.Item) bool { return has[it.Index] })
	k := d.Add(want)
	s.Expect()
	s.Answered()
	if ended(k) {
		t.Fatal("failed while an answer is outstanding")
	}
	has[7] = true
	s.Answered()
	if ended(k) {
		t.Fatal("failed although the source has the block")
	}
	other := d.Attach(func(demand.Item) bool { return false })
	s.Detach()
	s.Detach()
	if ended(k) {
		t.Fatal("failed while the second source has not said what it has")
	}
	other.Answered()
	if !ended(k) || !errors.Is(k.Err(), demand.ErrNotAvailable) {
		t.Fatal("still waiting although nobody can bring it")
	}
	if n := d.Sources(); n != 1 {
		t.Errorf("%d sources, want 1", n)
	}
}

func ExampleDemand() {
	var d demand.Demand
	ticket := d.Add(demand.Item{Kind: demand.Get, Index: 4})
	for _, it := range d.Urgent(nil) {
		fmt.Println("wanted:", it.Kind, it.Index)
	}
	d.Settle(func(it demand.Item) (bool, error) { return it.Index == 4, nil })
	<-ticket.Done()
	fmt.Println("settled, idle:", d.Idle())
	// Output:
	// wanted: get 4
	// settled, idle: true
}
