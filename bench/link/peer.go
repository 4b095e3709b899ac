// peer is one end of a measured conversation with kcp-go (5.6.1, as Debian ships it): messages at an interval, each
// with the time at which it was sent, or requests and their answers. It plays the parts that end.ts plays, and says and
// is told the same.
//
//	CGO_ENABLED=0 GO111MODULE=off GOPATH=/usr/share/gocode go build -o peer peer.go
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	kcp "github.com/xtaci/kcp-go"
	"golang.org/x/sys/unix"
)

var (
	role     = flag.String("role", "receive", "receive or send")
	kind     = flag.String("kind", "messages", "messages or requests")
	addr     = flag.String("addr", "", "address to listen on or to dial")
	size     = flag.Int("size", 64, "bytes of a message")
	flows    = flag.Int("flows", 1, "conversations side by side")
	interval = flag.Duration("interval", 20*time.Millisecond, "time between two messages")
	think    = flag.Duration("think", 0, "time between an answer and the next request")
	warmUp   = flag.Int("warmup", 0, "messages of a flow sent first, and not counted")
	count    = flag.Int("count", 0, "messages of a flow that count")
	data     = flag.Int("data", 0, "FEC: data shards of a group")
	parity   = flag.Int("parity", 0, "FEC: parity shards of a group")
)

// Node's process.hrtime reads this clock too.
func now() uint64 {
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &at); err != nil {
		fail(err)
	}
	return uint64(at.Nano())
}

var stdout sync.Mutex

func say(event string, more map[string]interface{}) {
	line := map[string]interface{}{"event": event}
	for key, value := range more {
		line[key] = value
	}
	text, err := json.Marshal(line)
	if err != nil {
		fail(err)
	}
	stdout.Lock()
	defer stdout.Unlock()
	fmt.Println(string(text))
}

func fail(err error) {
	fmt.Fprintf(os.Stderr, "peer: %v\n", err)
	os.Exit(1)
}

// What came of the messages of all flows.
var collected struct {
	sync.Mutex
	latencies []float64
}

func collect(message []byte) {
	latency := float64((now()-binary.LittleEndian.Uint64(message))/1e3) / 1e3
	collected.Lock()
	defer collected.Unlock()
	collected.latencies = append(collected.latencies, latency)
	if len(collected.latencies) == *flows**count {
		say("done", map[string]interface{}{"latencies": collected.latencies})
	}
}

func enough() {
	collected.Lock()
	defer collected.Unlock()
	say("done", map[string]interface{}{"latencies": append([]float64{}, collected.latencies...)})
}

// The numbers of our preset "fast", and no waiting for the flush interval where kcp-go can do without.
func configure(session *kcp.UDPSession) {
	session.SetNoDelay(1, 10, 2, 1)
	session.SetWindowSize(128, 128)
	session.SetMtu(1400)
	session.SetACKNoDelay(true)
	session.SetWriteDelay(false)
}

func receive() {
	listener, err := kcp.ListenWithOptions(*addr, nil, *data, *parity)
	if err != nil {
		fail(err)
	}
	say("ready", nil)
	for {
		session, err := listener.AcceptKCP()
		if err != nil {
			fail(err)
		}
		configure(session)
		go serve(session)
	}
}

func serve(session *kcp.UDPSession) {
	for number := 0; ; number++ {
		message := read(session, number)
		if *kind == "requests" {
			write(session, message)
		} else if number >= *warmUp {
			collect(message)
		}
	}
}

func read(session *kcp.UDPSession, number int) []byte {
	message := make([]byte, *size)
	if _, err := io.ReadFull(session, message); err != nil {
		fail(err)
	}
	if int(binary.LittleEndian.Uint32(message[8:])) != number {
		fail(fmt.Errorf("message %d is missing", number))
	}
	return message
}

func write(session *kcp.UDPSession, message []byte) {
	if _, err := session.Write(message); err != nil {
		fail(err)
	}
}

func stamped(number int) []byte {
	message := make([]byte, *size)
	binary.LittleEndian.PutUint32(message[8:], uint32(number))
	binary.LittleEndian.PutUint64(message, now())
	return message
}

func send(start <-chan uint64) {
	sessions := make([]*kcp.UDPSession, *flows)
	for flow := range sessions {
		session, err := kcp.DialWithOptions(*addr, nil, *data, *parity)
		if err != nil {
			fail(err)
		}
		configure(session)
		sessions[flow] = session
	}
	say("ready", nil)
	if at := <-start; at > 0 {
		time.Sleep(time.Duration(int64(at) - int64(now())))
	}
	if *kind == "requests" {
		for flow, session := range sessions {
			go ask(session, flow)
		}
		return
	}
	startedAt := time.Now()
	for number := 0; number < *warmUp+*count; number++ {
		for flow, session := range sessions {
			due := time.Duration(number)**interval + time.Duration(flow)**interval/time.Duration(*flows)
			time.Sleep(time.Until(startedAt.Add(due)))
			if number == *warmUp && flow == 0 {
				say("measuring", nil)
			}
			write(session, stamped(number))
		}
	}
}

func ask(session *kcp.UDPSession, flow int) {
	time.Sleep(time.Duration(flow) * *think / time.Duration(*flows))
	for number := 0; number < *warmUp+*count; number++ {
		if number == *warmUp && flow == 0 {
			say("measuring", nil)
		}
		write(session, stamped(number))
		answer := read(session, number)
		if number >= *warmUp {
			collect(answer)
		}
		time.Sleep(*think)
	}
}

func main() {
	flag.Parse()
	start := make(chan uint64, 1)
	if *role == "receive" {
		go receive()
	} else {
		go send(start)
	}
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		switch words := strings.Fields(input.Text()); {
		case len(words) == 2 && words[0] == "go":
			at, err := strconv.ParseUint(words[1], 10, 64)
			if err != nil {
				fail(err)
			}
			start <- at
		case len(words) == 1 && words[0] == "go":
			start <- 0
		case len(words) == 1 && words[0] == "enough":
			enough()
		}
	}
}
