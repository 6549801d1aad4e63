package udx

import (
	"sync"
	"time"
)

// deadline wakes those who wait on a condition when its time has passed. The
// lock of the condition guards it.
type deadline struct {
	cond    *sync.Cond
	timer   *time.Timer
	setting int // counts calls of set, so that a timer knows that it is outdated
	expired bool
}

// stop leaves the deadline as it is for good.
func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

func (d *deadline) set(t time.Time) {
	d.stop()
	d.setting++
	d.expired = false
	if t.IsZero() {
		return
	}
	wait := time.Until(t)
	if wait <= 0 {
		d.expired = true
		d.cond.Broadcast()
		return
	}
	mine := d.setting
	d.timer = time.AfterFunc(wait, func() {
		d.cond.L.Lock()
		defer d.cond.L.Unlock()
		if d.setting == mine {
			d.expired = true
			d.cond.Broadcast()
		}
	})
}
