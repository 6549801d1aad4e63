package protocol

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/cairn-feeds/cairn/dht/udx/internal/congestion"
	"github.com/cairn-feeds/cairn/dht/udx/internal/wire"
)

// Why a stream closed.
var (
	ErrReset    = errors.New("udx: the remote destroyed the stream")
	ErrTimedOut = errors.New("udx: the remote does not answer")
)

const (
	// unsentLimit is how many bytes Write takes ahead of what may be sent; the
	// reference calls a write "not drained" beyond it.
	unsentLimit = 256 << 10
	// maxSendWindow bounds what is outstanding, whatever window the peer offers.
	maxSendWindow = 8 << 20
	// overrun is how much a sender may exceed its window: it may always send one
	// packet into a window that is not closed, and probes for the tail of a loss.
	overrun = 64 << 10
	// reopenStep: a window below this is offered as zero, so that the peer does
	// not fill it with crumbs (RFC 1122, section 4.2.3.3).
	reopenStep = 2048
	// Messages wait for the owner up to these limits, then new ones are dropped.
	maxMessages     = 256
	maxMessageBytes = 256 << 10
)

// Config is what a stream needs to know. All fields are required except Seq.
type Config struct {
	// Seq is the first sequence number sent.
	Seq uint32
	// ReceiveBuffer is the window offered to the remote, in bytes.
	ReceiveBuffer int
	// MaxMTU is where path MTU discovery ends; BaseMTU or less disables it.
	MaxMTU int
	// Linger is how long an abandoned stream waits for the remote's end.
	Linger time.Duration
	// Seed decides what is random.
	Seed uint64
}

// Stream is one end of a stream. Its methods are not safe for concurrent use.
type Stream struct {
	cfg Config

	// The remote. Nothing is sent before connected is true.
	connected bool
	path      Path
	oldPath   Path // while changing
	changing  bool
	changeSeq uint32 // everything before it went to oldPath
	viaNew    bool   // and is repeated to path all the same

	// Receiving.
	expected     uint32 // the next number in order, which is what we acknowledge
	early        reassembly
	readable     buffer
	discard      bool // nobody will read
	remoteEnding bool
	remoteEnd    uint32 // the number of the END, once remoteEnding
	eof          bool   // everything up to the END has arrived
	ackDue       bool
	offered      int // the window of the packet sent last
	messages     [][]byte
	messageBytes int

	// Sending.
	flight   flight
	sendable buffer // bytes that are unsent or not acked
	unsent   uint64 // offset in sendable of the first that was never sent
	ending   bool   // an END follows the bytes
	endSent  bool
	ended    bool   // our END is acked
	window   uint32 // what the remote offers
	wl1, wl2 uint32 // seq and ack of the packet that set window (RFC 9293)
	recovery recoveryState
	point    uint32 // recovery ends when everything before it is acked
	rack     rack
	tlp      tlp
	rtt      rttEstimator
	cc       congestion.BBR
	mtu      mtuSearch

	timers       timers
	timeouts     int // of the retransmission timer since a packet was acked
	random       *rand.Rand
	heartbeatDue bool
	abandoned    bool

	destroying bool
	closed     bool
	err        error // why closed; nil for a clean end

	stats Stats
}

type recoveryState uint8

const (
	recoveryOpen recoveryState = iota
	recoveryFast
	recoveryLoss
)

// New returns a stream that is not connected. It accepts packets already.
func New(cfg Config) *Stream {
	s := &Stream{cfg: cfg, rtt: newRTTEstimator(), window: initialWindow, offered: cfg.ReceiveBuffer, random: rand.New(rand.NewPCG(cfg.Seed, 0))}
	s.flight.una, s.flight.next = cfg.Seq, cfg.Seq
	s.wl2 = cfg.Seq
	s.rack.highest = cfg.Seq
	s.mtu.init(cfg.MaxMTU)
	return s
}

// initialWindow is what the remote may be sent before it has said anything, the
// window that every implementation begins with.
const initialWindow = 4 << 20

// Connected reports whether the remote is known.
func (s *Stream) Connected() bool { return s.connected }

// Connect makes the remote known; ack is its first sequence number. Packets that
// arrived before are acknowledged now.
func (s *Stream) Connect(now time.Duration, path Path, ack uint32) {
	if s.connected || s.closed {
		return
	}
	s.connected = true
	s.path = path
	if ack != 0 {
		// What came before was numbered by somebody who did not know.
		s.early.reset()
		s.readable.reset()
		s.remoteEnding, s.eof = false, false
		s.expected, s.wl1 = ack, ack
	}
	s.cc.Init(s.mtu.size, s.random.Uint64())
	s.updateIdleTimers(now, false)
}

// Write takes as much of p as there is room for and returns how much that was.
func (s *Stream) Write(now time.Duration, p []byte) int {
	n := min(len(p), s.Writable())
	if n > 0 {
		s.sendable.append(p[:n])
		s.updateIdleTimers(now, true)
	}
	return n
}

// Writable is how many bytes Write would take.
func (s *Stream) Writable() int {
	if s.ending || s.closed || s.destroying || !s.connected {
		return 0
	}
	return max(unsentLimit-s.unsentBytes(), 0)
}

func (s *Stream) unsentBytes() int { return int(s.sendable.last - s.unsent) }

// CloseWrite ends our direction: an END goes out behind all bytes written.
func (s *Stream) CloseWrite(now time.Duration) {
	if s.ending || s.closed {
		return
	}
	s.ending = true
	s.updateIdleTimers(now, true)
}

// Read moves received bytes to p and returns how many.
func (s *Stream) Read(p []byte) int {
	n := s.readable.read(p)
	if w := s.receiveWindow(); n > 0 && s.offered < s.cfg.ReceiveBuffer/2 && w >= s.offered+s.cfg.ReceiveBuffer/4 && !s.eof {
		s.ackDue = true // the window opens again
	}
	return n
}

// Buffered is how many bytes can be read at once.
func (s *Stream) Buffered() int { return s.readable.len() }

// EOF reports whether the remote has ended and everything has arrived. Buffered
// bytes come before it.
func (s *Stream) EOF() bool { return s.eof }

// Unacked is how many bytes were written and are not acknowledged.
func (s *Stream) Unacked() int { return s.sendable.len() }

// Messages is how many unordered messages wait.
func (s *Stream) Messages() int { return len(s.messages) }

// Message returns the next unordered message, or false. It is the caller's.
func (s *Stream) Message() ([]byte, bool) {
	if len(s.messages) == 0 {
		return nil, false
	}
	m := s.messages[0]
	s.messages[0] = nil
	if s.messages = s.messages[1:]; len(s.messages) == 0 {
		s.messages = nil
	}
	s.messageBytes -= len(m)
	return m, true
}

// Abandon is what closing means to somebody who will not come back: our
// direction ends after what was written, what arrives is acknowledged and thrown
// away, and when the remote has got everything but does not end for the linger
// time, or does not let us send, the stream is destroyed.
func (s *Stream) Abandon(now time.Duration) {
	if s.abandoned || s.closed {
		return
	}
	if !s.connected {
		s.close(nil)
		return
	}
	s.abandoned, s.discard = true, true
	s.readable.reset()
	if s.offered < s.cfg.ReceiveBuffer && !s.eof {
		s.ackDue = true
	}
	s.CloseWrite(now)
	s.updateLinger(now)
}

// Destroy closes the stream with err as soon as a DESTROY was polled, at once
// when there is nobody to tell.
func (s *Stream) Destroy(err error) {
	if s.closed || s.destroying {
		return
	}
	s.err = err
	if !s.connected {
		s.close(err)
		return
	}
	s.destroying = true
	s.sendable.reset()
}

// Close ends the stream at once and without a packet.
func (s *Stream) Close(err error) {
	if !s.closed {
		s.close(err)
	}
}

// Closed reports whether the stream is over, and why: nil after a clean end.
func (s *Stream) Closed() (bool, error) { return s.closed, s.err }

// close gives back everything but what can still be read.
func (s *Stream) close(err error) {
	s.closed, s.err = true, err
	s.timers = timers{}
	s.early.reset()
	s.sendable.reset()
	s.flight = flight{una: s.flight.una, next: s.flight.next}
	if s.discard {
		s.readable.reset()
	}
}

// closeIfEnded closes after a clean end of both directions, once the last
// acknowledgement is out.
func (s *Stream) closeIfEnded() {
	if s.eof && s.ended && !s.ackDue && !s.closed {
		s.close(nil)
	}
}

// FinalAck is the acknowledgement that answers what the remote sends after the
// stream closed cleanly, in case ours was lost.
func (s *Stream) FinalAck() wire.Header {
	return wire.Header{Stream: s.path.RemoteID, Window: uint32(s.cfg.ReceiveBuffer), Seq: s.flight.next, Ack: s.expected}
}
