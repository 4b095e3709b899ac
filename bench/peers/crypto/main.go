// crypto measures what kcp-go's ciphers cost: Debian's kcp-go 5.6.1, and for the AEADs, which that does not have yet, the
// ciphers of Go that newer ones use.
//
//	CGO_ENABLED=0 GO111MODULE=off GOPATH=/usr/share/gocode go build -o crypto .
//	crypto CIPHER SIZE
//
// For each line on stdin, a number of ms, it seals and opens datagrams of SIZE bytes for that long and prints
// {"seal": µs, "open": µs} for one. A datagram is sealed as kcp-go does it: a nonce from an AES generator, the checksum,
// and the cipher over all of it.
package main

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	kcp "github.com/xtaci/kcp-go"
	"golang.org/x/crypto/chacha20poly1305"
)

// Datagrams sealed one after another, and then opened.
const ring = 64

type packets interface {
	seal(datagram []byte)
	open(datagram []byte) bool
}

type nonces struct {
	block cipher.Block
	seed  [aes.BlockSize]byte
}

func (n *nonces) fill(nonce []byte) {
	n.block.Encrypt(n.seed[:], n.seed[:])
	copy(nonce, n.seed[:])
}

type classic struct {
	nonces
	crypt kcp.BlockCrypt
}

func (c *classic) seal(d []byte) {
	c.fill(d[:16])
	binary.LittleEndian.PutUint32(d[16:], crc32.ChecksumIEEE(d[20:]))
	c.crypt.Encrypt(d, d)
}

func (c *classic) open(d []byte) bool {
	c.crypt.Decrypt(d, d)
	return binary.LittleEndian.Uint32(d[16:]) == crc32.ChecksumIEEE(d[20:])
}

type sealed struct {
	nonces
	aead cipher.AEAD
}

func (s *sealed) seal(d []byte) {
	s.fill(d[:12])
	s.aead.Seal(d[12:12], d[:12], d[12:len(d)-16], nil)
}

func (s *sealed) open(d []byte) bool {
	_, err := s.aead.Open(d[12:12], d[:12], d[12:], nil)
	return err == nil
}

func main() {
	size, err := strconv.Atoi(os.Args[2])
	check(err)
	p := packetsOf(os.Args[1])
	datagrams := [ring][]byte{}
	for i := range datagrams {
		datagrams[i] = bytes.Repeat([]byte{byte(i)}, size)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		ms, err := strconv.ParseFloat(lines.Text(), 64)
		check(err)
		var seal, open time.Duration
		count := 0
		for seal+open < time.Duration(ms*1e6) {
			began := time.Now()
			for _, d := range datagrams {
				p.seal(d)
			}
			between := time.Now()
			for _, d := range datagrams {
				if !p.open(d) {
					log.Fatal("not opened")
				}
			}
			seal += between.Sub(began)
			open += time.Since(between)
			count += ring
		}
		us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 / float64(count) }
		fmt.Printf("{\"seal\": %f, \"open\": %f}\n", us(seal), us(open))
	}
}

func packetsOf(name string) packets {
	key := bytes.Repeat([]byte{0x5a, 0xc3, 0x17, 0x88}, 8)
	block, err := aes.NewCipher(key[:16])
	check(err)
	n := nonces{block: block}
	switch {
	case name == "chacha20-poly1305":
		aead, err := chacha20poly1305.New(key)
		check(err)
		return &sealed{n, aead}
	case strings.HasSuffix(name, "-gcm"):
		inner, err := aes.NewCipher(key[:keySize(name)])
		check(err)
		aead, err := cipher.NewGCM(inner)
		check(err)
		return &sealed{n, aead}
	}
	crypt, err := constructors[strings.SplitN(name, "-", 2)[0]](key[:keySize(name)])
	check(err)
	return &classic{n, crypt}
}

var constructors = map[string]func([]byte) (kcp.BlockCrypt, error){
	"none":     kcp.NewNoneBlockCrypt,
	"aes":      kcp.NewAESBlockCrypt,
	"sm4":      kcp.NewSM4BlockCrypt,
	"3des":     kcp.NewTripleDESBlockCrypt,
	"salsa20":  kcp.NewSalsa20BlockCrypt,
	"xor":      kcp.NewSimpleXORBlockCrypt,
	"tea":      kcp.NewTEABlockCrypt,
	"xtea":     kcp.NewXTEABlockCrypt,
	"blowfish": kcp.NewBlowfishBlockCrypt,
	"twofish":  kcp.NewTwofishBlockCrypt,
	"cast5":    kcp.NewCast5BlockCrypt,
}

func keySize(name string) int {
	switch {
	case strings.HasPrefix(name, "aes-128"), name == "sm4", name == "tea", name == "xtea", name == "cast5":
		return 16
	case name == "3des":
		return 24
	}
	return 32
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
