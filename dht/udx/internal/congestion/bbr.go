package congestion

import (
	"math"
	"time"
)

// Constants of the BBR draft, section 4, unless said otherwise.
const (
	highGain        = 2.885 // 2/ln 2, the smallest gain that doubles the rate each round
	cwndGain        = 2.0
	pacingMargin    = 0.99 // as in Linux and the reference: stay a little below the estimate
	bandwidthRounds = 10
	minRTTWindow    = 10 * time.Second
	probeRTTTime    = 200 * time.Millisecond
	fullPipeGrowth  = 1.25
	fullPipeRounds  = 3

	// severeLoss is the share of the window that must get lost in a round before
	// loss is taken for congestion. The draft conserves packets on any loss, which
	// costs a path with random loss most of its bandwidth; losing this much means
	// sending far more than the path carries.
	severeLoss = 0.4

	initialPackets = 10
	minPackets     = 4

	// quantumTime is how much may leave in one burst: what the timers of the
	// platform can be trusted to do. maxQuantum keeps bursts below the socket
	// buffers of the reference.
	quantumTime = time.Millisecond
	maxQuantum  = 64 << 10

	// Acknowledgements that come in bunches would starve a window of two BDP:
	// allow what was acked above the expectation within the last rounds.
	extraAckedRounds  = 5
	extraAckedMaxTime = 100 * time.Millisecond
)

var pacingCycle = [...]float64{1.25, 0.75, 1, 1, 1, 1, 1, 1}

type state uint8

const (
	startup state = iota
	drain
	probeBW
	probeRTT
)

func (s state) String() string {
	return [...]string{"STARTUP", "DRAIN", "PROBE_BW", "PROBE_RTT"}[s]
}

// BBR is the congestion controller of one stream. The caller tells it of every
// packet sent, delivered and lost; nothing here is safe for concurrent use.
type BBR struct {
	packet int // bytes of a full packet
	rate   rate
	pacer  pacer

	state      state
	pacingGain float64
	cwndGain   float64
	cwnd       int
	pacingRate float64 // bytes per second
	seenRTT    bool

	bandwidth      best[uint64, float64]
	round          uint64
	roundStart     bool
	nextRoundAfter int64 // a new round begins with a packet sent at or after this delivered count

	minRTT      time.Duration // 0 before the first sample
	minRTTStamp time.Duration
	probeUntil  time.Duration // end of the stay in PROBE_RTT, 0 until in flight has fallen
	probeRound  bool          // a round has passed in PROBE_RTT

	fullBandwidth float64
	fullRounds    int
	filled        bool

	cycle      int
	cycleStamp time.Duration
	random     uint64

	lost      int  // bytes lost since the last acknowledgement
	roundLost int  // and since the round began
	conserve  bool // until the round ends, send as much as is delivered
	priorCwnd int  // to be restored; 0 for none

	extraStamp  time.Duration
	extraAcked  int64
	extra       [2]int64 // most extra bytes, by turns over extraAckedRounds
	extraSlot   int
	extraRounds int
}

// Init prepares b for packets of the given size. The seed decides where the
// probing cycle begins, so that streams that start together do not probe
// together.
func (b *BBR) Init(packet int, seed uint64) {
	*b = BBR{
		packet:     packet,
		pacingGain: highGain,
		cwndGain:   highGain,
		cwnd:       initialPackets * packet,
		bandwidth:  newMax[uint64, float64](bandwidthRounds),
		random:     seed,
	}
	b.initPacing(time.Millisecond)
}

// Restart begins anew on another path, with packets of the given size. Packets
// that are in flight stay known.
func (b *BBR) Restart(packet int) {
	rate := b.rate
	b.Init(packet, b.random)
	b.rate = rate
	b.nextRoundAfter = rate.delivered
}

// SetPacketSize changes the size of a full packet, after path MTU discovery.
func (b *BBR) SetPacketSize(packet int) { b.packet = packet }

func (b *BBR) initPacing(rtt time.Duration) {
	b.pacingRate = highGain * float64(b.cwnd) / rtt.Seconds()
}

// Window is how many bytes may be in flight.
func (b *BBR) Window() int { return b.cwnd }

// Bandwidth is the estimate of the bottleneck in bytes per second.
func (b *BBR) Bandwidth() float64 { return b.bandwidth.value() }

// State names the state of the algorithm, for logs and statistics.
func (b *BBR) State() string { return b.state.String() }

// SendAt is when the pacer allows the next packet: now or earlier means at once.
func (b *BBR) SendAt(now time.Duration) time.Duration {
	return b.pacer.sendAt(now, b.pacingRate, b.quantum())
}

// OnSend stamps p, of size bytes, as sent now with inflight bytes before it.
func (b *BBR) OnSend(now time.Duration, inflight, size int, p *Packet) {
	if inflight == 0 && b.rate.appLimited != 0 && b.state == probeBW {
		b.setPacingRate(1) // a restart from idle: no need to catch up
	}
	b.rate.onSend(now, inflight, p)
	b.pacer.onSend(now, size, b.pacingRate, b.quantum())
}

// OnAppLimited says that the sender has nothing to send although it might;
// samples of the packets in flight then do not show what the path can do.
func (b *BBR) OnAppLimited(inflight int) {
	b.rate.appLimited = max(b.rate.delivered+int64(inflight), 1)
}

// OnDelivered counts a packet that an acknowledgement covers for the first time.
// OnAck must follow when all of them were counted.
func (b *BBR) OnDelivered(now time.Duration, p *Packet, size int) {
	b.rate.onDelivered(now, p, size)
}

// OnLost counts a packet of size bytes as lost.
func (b *BBR) OnLost(size int) { b.lost += size }

// OnTimeout says that the retransmission timer fired with inflight bytes not
// known to be lost. The window falls, but not so low that the loss of a single
// packet silences the stream for another timeout.
func (b *BBR) OnTimeout(inflight int) {
	b.saveCwnd()
	b.cwnd = inflight + minPackets*b.packet
	b.lost = 0
	b.fullBandwidth = 0
}

// OnRecovered says that everything sent before a timeout is acked.
func (b *BBR) OnRecovered() { b.restoreCwnd() }

func (b *BBR) saveCwnd() { b.priorCwnd = max(b.priorCwnd, b.cwnd) }

func (b *BBR) restoreCwnd() {
	b.cwnd = max(b.cwnd, b.priorCwnd)
	b.priorCwnd = 0
}

// OnAck ends an acknowledgement: rtt is that of the newest packet it covers, or
// negative when there is none to trust; prior and inflight are the bytes in
// flight before and after.
func (b *BBR) OnAck(now, rtt time.Duration, prior, inflight int) {
	s := b.rate.finish(b.minRTT)
	lost := b.lost
	b.lost = 0

	b.updateRound(s, lost)
	if s.bps > 0 && (!s.appLimited || s.bps >= b.bandwidth.value()) {
		b.bandwidth.update(b.round, s.bps)
	}
	b.updateExtraAcked(now, s)
	b.updateCycle(now, prior, lost)
	b.checkFullPipe(s.appLimited)
	b.checkDrain(now, inflight)
	b.updateMinRTT(now, rtt, inflight)

	b.setPacingRate(b.pacingGain)
	b.setCwnd(int(s.acked), inflight)
}

func (b *BBR) updateRound(s rateSample, lost int) {
	b.roundStart = s.valid && s.prior >= b.nextRoundAfter
	if b.roundStart {
		b.nextRoundAfter = b.rate.delivered
		b.round++
		b.roundLost, b.conserve = 0, false
	}
	b.roundLost += lost
}

// losingMuch reports whether loss in this round must be congestion.
func (b *BBR) losingMuch() bool {
	return float64(b.roundLost) > severeLoss*float64(max(b.cwnd, initialPackets*b.packet))
}

// bdp is the window that fills the path times gain.
func (b *BBR) bdp(gain float64) int {
	bw := b.bandwidth.value()
	if b.minRTT == 0 || bw == 0 {
		return initialPackets * b.packet
	}
	return int(min(gain*bw*b.minRTT.Seconds(), math.MaxInt32))
}

// target is bdp with room for the bursts of sender and receiver.
func (b *BBR) target(gain float64) int { return b.bdp(gain) + 3*b.quantum() }

func (b *BBR) quantum() int {
	return min(max(int(b.pacingRate*quantumTime.Seconds()), 2*b.packet), maxQuantum)
}

func (b *BBR) updateCycle(now time.Duration, prior, lost int) {
	if b.state != probeBW {
		return
	}
	full := now-b.cycleStamp > b.minRTT
	var next bool
	switch gain := pacingCycle[b.cycle]; {
	case gain > 1: // until the path is really fuller, or complains
		next = full && (lost > 0 || prior >= b.target(gain))
	case gain < 1: // until the queue of the probe is gone
		next = full || prior <= b.target(1)
	default:
		next = full
	}
	if next {
		b.setCycle(now, (b.cycle+1)%len(pacingCycle))
	}
}

func (b *BBR) setCycle(now time.Duration, i int) {
	b.cycle, b.cycleStamp = i, now
	b.pacingGain = pacingCycle[i]
}

func (b *BBR) checkFullPipe(appLimited bool) {
	if b.filled || !b.roundStart || appLimited {
		return
	}
	if bw := b.bandwidth.value(); bw >= b.fullBandwidth*fullPipeGrowth {
		b.fullBandwidth, b.fullRounds = bw, 0
		return
	}
	if b.fullRounds++; b.fullRounds >= fullPipeRounds {
		b.filled = true
	}
}

func (b *BBR) checkDrain(now time.Duration, inflight int) {
	if b.state == startup && b.filled {
		b.state = drain
		b.pacingGain, b.cwndGain = 1/highGain, highGain
	}
	if b.state == drain && inflight <= b.target(1) {
		b.enterProbeBW(now)
	}
}

func (b *BBR) enterProbeBW(now time.Duration) {
	b.state = probeBW
	b.cwndGain = cwndGain
	// Begin anywhere but in the phase that drains what was not probed.
	b.random = b.random*6364136223846793005 + 1442695040888963407
	i := int(b.random>>33) % (len(pacingCycle) - 1)
	if i > 0 {
		i++
	}
	b.setCycle(now, i)
}

func (b *BBR) updateMinRTT(now, rtt time.Duration, inflight int) {
	expired := now > b.minRTTStamp+minRTTWindow
	if rtt >= 0 {
		if !b.seenRTT {
			b.seenRTT = true
			b.initPacing(max(rtt, time.Millisecond))
		}
		rtt = max(rtt, 1) // 0 stands for unknown
		if b.minRTT == 0 || rtt <= b.minRTT || expired {
			b.minRTT, b.minRTTStamp = rtt, now
		}
	}
	if expired && b.minRTT > 0 && b.state != probeRTT {
		b.saveCwnd()
		b.state = probeRTT
		b.pacingGain, b.cwndGain = 1, 1
		b.probeUntil = 0
	}
	if b.state == probeRTT {
		b.handleProbeRTT(now, inflight)
	}
}

func (b *BBR) handleProbeRTT(now time.Duration, inflight int) {
	b.rate.appLimited = max(b.rate.delivered+int64(inflight), 1)
	if b.probeUntil == 0 {
		if inflight <= minPackets*b.packet {
			b.probeUntil = now + probeRTTTime
			b.probeRound = false
			b.nextRoundAfter = b.rate.delivered
		}
		return
	}
	if b.roundStart {
		b.probeRound = true
	}
	if b.probeRound && now >= b.probeUntil {
		b.minRTTStamp = now
		b.restoreCwnd()
		if b.filled {
			b.enterProbeBW(now)
		} else {
			b.state = startup
			b.pacingGain, b.cwndGain = highGain, highGain
		}
	}
}

func (b *BBR) updateExtraAcked(now time.Duration, s rateSample) {
	if s.acked == 0 {
		return
	}
	if b.roundStart {
		if b.extraRounds++; b.extraRounds >= extraAckedRounds {
			b.extraRounds = 0
			b.extraSlot ^= 1
			b.extra[b.extraSlot] = 0
		}
	}
	expected := int64(b.bandwidth.value() * (now - b.extraStamp).Seconds())
	if b.extraAcked <= expected {
		b.extraAcked, b.extraStamp, expected = 0, now, 0
	}
	b.extraAcked += s.acked
	extra := min(b.extraAcked-expected, int64(b.cwnd))
	b.extra[b.extraSlot] = max(b.extra[b.extraSlot], extra)
}

func (b *BBR) extraWindow() int {
	if !b.filled {
		return 0
	}
	limit := b.bandwidth.value() * extraAckedMaxTime.Seconds()
	return int(min(float64(max(b.extra[0], b.extra[1])), limit))
}

func (b *BBR) setPacingRate(gain float64) {
	bw := b.bandwidth.value()
	if bw == 0 {
		return
	}
	if r := gain * bw * pacingMargin; b.filled || r > b.pacingRate {
		b.pacingRate = r
	}
}

func (b *BBR) setCwnd(acked, inflight int) {
	if b.losingMuch() && !b.conserve {
		b.conserve = true
		b.cwnd = inflight
	}
	target := b.target(b.cwndGain) + b.extraWindow()
	switch {
	case b.conserve:
		b.cwnd = max(b.cwnd, inflight+acked)
	case b.filled:
		b.cwnd = min(b.cwnd+acked, target)
	case b.cwnd < target || b.rate.delivered < int64(initialPackets*b.packet):
		b.cwnd += acked
	}
	b.cwnd = max(b.cwnd, minPackets*b.packet)
	if b.state == probeRTT {
		b.cwnd = min(b.cwnd, minPackets*b.packet)
	}
}
