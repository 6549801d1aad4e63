package protocol

// Path MTU discovery by packets that carry data (RFC 8899 in spirit): a DATA
// packet is blown up with zeros in front of its payload. When it is acked the
// path carries packets of that size; when it is lost that says nothing about
// congestion.
const (
	// BaseMTU is the size of an IP packet that every path is taken to carry.
	BaseMTU = 1200
	// MaxMTU is the size at which discovery ends, that of Ethernet.
	MaxMTU = 1500

	mtuStep      = 32
	maxMTULosses = 3
)

// mtuSearch is the state of discovery on the present path.
type mtuSearch struct {
	size   int // of packets that are known to pass
	limit  int
	probe  int  // the size to try next, or being tried; 0 when the search is over
	begun  bool // the remote has answered
	wanted bool // the next packet should be a probe; none is outstanding
	losses int
}

// init begins on a new path.
func (m *mtuSearch) init(limit int) {
	*m = mtuSearch{size: BaseMTU, limit: limit}
	if limit > BaseMTU {
		m.probe = BaseMTU // confirmed before anything larger is tried
	}
}

// onAck starts the search once the remote has acked anything.
func (m *mtuSearch) onAck() {
	if !m.begun {
		m.begun, m.wanted = true, m.probe != 0
	}
}

// passed ends a probe that was acked. It reports whether size has changed.
func (m *mtuSearch) passed() bool {
	if m.probe == 0 {
		return false
	}
	changed := m.size != m.probe
	m.size, m.losses = m.probe, 0
	if m.probe == m.limit {
		m.probe = 0
		return changed
	}
	m.probe = min(m.probe+mtuStep, m.limit)
	m.wanted = true
	return changed
}

// failed ends a probe that was lost.
func (m *mtuSearch) failed() {
	if m.probe == 0 {
		return
	}
	if m.losses++; m.losses < maxMTULosses {
		m.wanted = true
	} else {
		m.probe = 0
	}
}
