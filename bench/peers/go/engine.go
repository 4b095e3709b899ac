// The engine's benchmark for kcp-go: bench/engine-pair.ts in Go. Its engine reads the clock itself, so the clock is
// moved: the time that it counts from is set back by what the step says.
package main

import (
	"math/rand"
	"time"
	_ "unsafe" // linkname

	kcp "github.com/xtaci/kcp-go"
)

//go:linkname refTime github.com/xtaci/kcp-go.refTime
var refTime time.Time

// Datagrams between two settings of the clock: it runs on meanwhile, and to set it costs as much as a segment's tenth.
const clockEvery = 16

type wire struct {
	datagrams [][]byte
	count     int
	total     int
}

func (w *wire) put(datagram []byte) {
	w.total++
	if w.count == len(w.datagrams) {
		w.datagrams = append(w.datagrams, make([]byte, 0, mtu))
	}
	w.datagrams[w.count] = append(w.datagrams[w.count][:0], datagram...)
	w.count++
}

type enginePair struct {
	window               int
	loss                 float64
	now                  time.Duration
	random               *rand.Rand
	sender, receiver     *kcp.KCP
	toReceiver, toSender wire
	payload, target      []byte
}

func newEnginePair(window int, loss float64) *enginePair {
	p := &enginePair{window: window, loss: loss, random: rand.New(rand.NewSource(1)), now: time.Second}
	end := func(to *wire) *kcp.KCP {
		engine := kcp.NewKCP(1, func(datagram []byte, size int) { to.put(datagram[:size]) })
		engine.NoDelay(1, interval, 2, 1)
		engine.WndSize(window, window)
		engine.SetMtu(mtu)
		return engine
	}
	p.sender = end(&p.toReceiver)
	p.receiver = end(&p.toSender)
	p.payload = make([]byte, mtu-kcp.IKCP_OVERHEAD)
	p.target = make([]byte, mtu)
	return p
}

func (p *enginePair) run(limit time.Duration) (ns, sent float64) {
	sentBefore := p.toReceiver.total
	delivered := 0
	startedAt := time.Now()
	for {
		delivered += p.step()
		elapsed := time.Since(startedAt)
		if elapsed >= limit && delivered > 0 {
			return float64(elapsed.Nanoseconds()) / float64(delivered),
				float64(p.toReceiver.total-sentBefore) / float64(delivered)
		}
	}
}

func (p *enginePair) setClock() {
	refTime = time.Now().Add(-p.now)
}

func (p *enginePair) step() int {
	p.now += interval * time.Millisecond
	p.setClock()
	for p.sender.WaitSnd() < p.window {
		p.sender.Send(p.payload)
	}
	p.setClock()
	p.sender.Update()
	p.carry(&p.toReceiver, p.receiver)
	delivered := 0
	for p.receiver.Recv(p.target) >= 0 {
		delivered++
	}
	p.setClock()
	p.receiver.Update()
	p.carry(&p.toSender, p.sender)
	return delivered
}

func (p *enginePair) carry(w *wire, to *kcp.KCP) {
	// What input sends at once is carried within the same step of the other direction.
	for i := 0; i < w.count; i++ {
		if i%clockEvery == 0 {
			p.setClock()
		}
		if p.loss == 0 || p.random.Float64() >= p.loss {
			to.Input(w.datagrams[i], true, false)
		}
	}
	w.count = 0
}
