// peer is the foreign end of the live tests: kcp-go as Debian ships it (5.6.1), plain or with FEC and a cipher.
//
//	CGO_ENABLED=0 GO111MODULE=off GOPATH=/usr/share/gocode go build -o peer peer.go
//
// It speaks one JSON object per line on stdout: first "listening" or "connected", then "accepted" for each session
// of a server and "done" when a session's role has run its course. After "done" the process stays, because only a
// living kcp-go acknowledges and retransmits; it ends when stdin closes, and by itself after -timeout.
//
// Roles, the same for client and server:
//
//	echo    writes back every message that it reads; never "done" unless -bytes is given
//	send    writes -count messages; "done" once all of them are in kcp-go's send queue
//	sink    reads -bytes bytes; "done" tells how they were cut and their SHA-256
//	duplex  send and sink at the same time; "done" when both are
//
// A line "counters" on stdin is answered with kcp-go's own counters of this process.
//
// Two habits of kcp-go to remember when reading a test: its Write cuts everything at mss into messages of its own
// (it never sends a fragment), while its Read assembles fragments and gives one message per call.
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	kcp "github.com/xtaci/kcp-go"
)

var (
	mode       = flag.String("mode", "server", "server or client")
	role       = flag.String("role", "echo", "echo, send, sink or duplex")
	addr       = flag.String("addr", "127.0.0.1:0", "address to listen on or to dial")
	conv       = flag.Int64("conv", -1, "client: fixed conversation id; -1 leaves the choice to kcp-go")
	stream     = flag.Bool("stream", false, "stream mode")
	snd        = flag.Int("snd", 0, "send window; 0 keeps kcp-go's 32")
	rcv        = flag.Int("rcv", 0, "receive window; 0 keeps kcp-go's 32")
	mtu        = flag.Int("mtu", 0, "mtu; 0 keeps kcp-go's 1400")
	nodelay    = flag.String("nodelay", "", "nodelay,interval,resend,nc; empty keeps kcp-go's 0,100,0,0")
	ackNoDelay = flag.Bool("acknodelay", false, "acknowledge every datagram at once")
	writeDelay = flag.Bool("writedelay", false, "leave sending to the interval")
	count      = flag.Int("count", 0, "send, duplex: messages to write")
	sizes      = flag.String("sizes", "100", "send, duplex: sizes of the messages, used in turn")
	total      = flag.Int64("bytes", 0, "sink, duplex: bytes to read (echo: bytes after which it is done)")
	pause      = flag.Duration("pause", 0, "sink, duplex: wait this long before the first read")
	crypt      = flag.String("crypt", "", "cipher by kcptun's name; empty: none at all, not even its header")
	key        = flag.String("key", "", "its key in hex")
	data       = flag.Int("data", 0, "data shards of FEC; 0: no FEC")
	parity     = flag.Int("parity", 0, "parity shards of FEC")
	timeout    = flag.Duration("timeout", time.Minute, "the process ends by itself after this long")
)

var stdout sync.Mutex

type fields map[string]interface{}

func say(event string, more fields) {
	line := fields{"event": event}
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

// fill writes the content of message i; test/interop/go.ts has the same formula.
func fill(message []byte, i int) {
	for j := range message {
		message[j] = byte(i*31 + j*7 + (j>>8)*13)
	}
}

func numbers(list string) []int {
	var result []int
	for _, word := range strings.Split(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil {
			fail(err)
		}
		result = append(result, n)
	}
	return result
}

// cipher makes the packet cipher of the flags.
func cipher() kcp.BlockCrypt {
	if *crypt == "" {
		return nil
	}
	bytes, err := hex.DecodeString(*key)
	if err != nil {
		fail(err)
	}
	make := map[string]func([]byte) (kcp.BlockCrypt, error){
		"none":     kcp.NewNoneBlockCrypt,
		"aes":      kcp.NewAESBlockCrypt,
		"salsa20":  kcp.NewSalsa20BlockCrypt,
		"twofish":  kcp.NewTwofishBlockCrypt,
		"blowfish": kcp.NewBlowfishBlockCrypt,
		"cast5":    kcp.NewCast5BlockCrypt,
		"3des":     kcp.NewTripleDESBlockCrypt,
		"tea":      kcp.NewTEABlockCrypt,
		"xtea":     kcp.NewXTEABlockCrypt,
		"sm4":      kcp.NewSM4BlockCrypt,
		"xor":      kcp.NewSimpleXORBlockCrypt,
	}[*crypt]
	if make == nil {
		fail(fmt.Errorf("unknown cipher %q", *crypt))
	}
	block, err := make(bytes)
	if err != nil {
		fail(err)
	}
	return block
}

func counters() fields {
	snmp := kcp.DefaultSnmp.Copy()
	return fields{
		"recovered":  snmp.FECRecovered,
		"fecErrors":  snmp.FECErrs,
		"parity":     snmp.FECParityShards,
		"checksums":  snmp.InCsumErrors,
		"resends":    snmp.RetransSegs,
		"datagrams":  snmp.InPkts,
		"sessions":   snmp.PassiveOpens,
		"inputBytes": snmp.InBytes,
	}
}

func configure(session *kcp.UDPSession) {
	session.SetStreamMode(*stream)
	session.SetACKNoDelay(*ackNoDelay)
	session.SetWriteDelay(*writeDelay)
	session.SetWindowSize(*snd, *rcv) // ignores what is 0
	if *mtu > 0 && !session.SetMtu(*mtu) {
		fail(fmt.Errorf("mtu %d refused", *mtu))
	}
	if *nodelay != "" {
		n := numbers(*nodelay)
		if len(n) != 4 {
			fail(fmt.Errorf("-nodelay wants four numbers: %q", *nodelay))
		}
		session.SetNoDelay(n[0], n[1], n[2], n[3])
	}
}

func send(session *kcp.UDPSession) fields {
	hash := sha256.New()
	lengths := numbers(*sizes)
	sent := 0
	for i := 0; i < *count; i++ {
		message := make([]byte, lengths[i%len(lengths)])
		fill(message, i)
		hash.Write(message)
		sent += len(message)
		if _, err := session.Write(message); err != nil {
			fail(err)
		}
	}
	return fields{"sentMessages": *count, "sentBytes": sent, "sentSha256": hex.EncodeToString(hash.Sum(nil))}
}

func read(session *kcp.UDPSession, echo bool) fields {
	time.Sleep(*pause)
	hash := sha256.New()
	var lengths []int
	var got int64
	// Larger than 255 fragments of 1500 bytes: one Read is one whole message.
	buffer := make([]byte, 512*1024)
	for (echo && *total == 0) || got < *total {
		n, err := session.Read(buffer)
		if err != nil {
			fail(err)
		}
		hash.Write(buffer[:n])
		lengths = append(lengths, n)
		got += int64(n)
		if echo {
			if _, err := session.Write(buffer[:n]); err != nil {
				fail(err)
			}
		}
	}
	return fields{"bytes": got, "messages": len(lengths), "sizes": lengths, "sha256": hex.EncodeToString(hash.Sum(nil))}
}

func play(session *kcp.UDPSession) {
	result := fields{"conv": session.GetConv(), "role": *role}
	merge := func(more fields) {
		for key, value := range more {
			result[key] = value
		}
	}
	switch *role {
	case "echo":
		merge(read(session, true))
	case "send":
		merge(send(session))
	case "sink":
		merge(read(session, false))
	case "duplex":
		sent := make(chan fields)
		go func() { sent <- send(session) }()
		merge(read(session, false))
		merge(<-sent)
	default:
		fail(fmt.Errorf("unknown role %q", *role))
	}
	say("done", result)
}

func serve() {
	listener, err := kcp.ListenWithOptions(*addr, cipher(), *data, *parity)
	if err != nil {
		fail(err)
	}
	say("listening", fields{"addr": listener.Addr().String()})
	for {
		session, err := listener.AcceptKCP()
		if err != nil {
			fail(err)
		}
		configure(session)
		say("accepted", fields{"conv": session.GetConv(), "remote": session.RemoteAddr().String()})
		go play(session)
	}
}

func dial() {
	remote, err := net.ResolveUDPAddr("udp", *addr)
	if err != nil {
		fail(err)
	}
	network := "udp"
	if remote.IP.To4() != nil {
		network = "udp4"
	}
	socket, err := net.ListenUDP(network, nil)
	if err != nil {
		fail(err)
	}
	var session *kcp.UDPSession
	if *conv >= 0 {
		session, err = kcp.NewConn3(uint32(*conv), remote, cipher(), *data, *parity, socket)
	} else {
		session, err = kcp.NewConn2(remote, cipher(), *data, *parity, socket)
	}
	if err != nil {
		fail(err)
	}
	configure(session)
	say("connected", fields{"addr": socket.LocalAddr().String(), "conv": session.GetConv()})
	play(session)
}

func main() {
	flag.Parse()
	time.AfterFunc(*timeout, func() { fail(fmt.Errorf("still running after %v", *timeout)) })
	switch *mode {
	case "server":
		go serve()
	case "client":
		go dial()
	default:
		fail(fmt.Errorf("unknown mode %q", *mode))
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if lines.Text() == "counters" {
			say("counters", counters())
		}
	}
}
