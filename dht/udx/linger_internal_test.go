package udx

import (
	"testing"
	"time"
)

func TestLingeringIsBounded(t *testing.T) {
	var l lingering
	now := time.Second
	for id := range uint32(2 * maxLingering) {
		l.add(id, finished{until: now + lingerTime})
	}
	if len(l.byID) > maxLingering || len(l.order) > maxLingering {
		t.Errorf("%d ids are remembered", len(l.byID))
	}
	if _, ok := l.get(0, now); ok {
		t.Error("the oldest id was kept")
	}
	if _, ok := l.get(2*maxLingering-1, now); !ok {
		t.Error("the newest id was dropped")
	}
	if _, ok := l.get(2*maxLingering-1, now+lingerTime); ok {
		t.Error("an id is remembered for too long")
	}
	l.remove(2*maxLingering - 1)
	if _, ok := l.get(2*maxLingering-1, now); ok {
		t.Error("an id that is in use again lingers")
	}
	now += time.Minute
	l.add(1, finished{until: now + lingerTime})
	if len(l.byID) != 1 || len(l.order) != 1 {
		t.Errorf("%d ids are remembered after all but one have expired", len(l.byID))
	}
}
