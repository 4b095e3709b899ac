/**
 * What the send window notes of a segment: a slot of sixteen words in one Int32Array.
 * @module
 */

/** Words of a slot: 64 bytes, one cache line. */
export const STRIDE = 16
export const CELL = 0
export const LEN = 1
export const FRG = 2
export const STATE = 3
/** Latest transmission, ms. */
export const TS = 4
/** First transmission, ms. */
export const FIRST_TS = 5
export const RTO = 6
/** Skips of a segment that carries its own count. */
export const SKIPS = 7
export const XMIT = 8
export const RESEND_AT = 9
/** Neighbours in the list of resent segments, slot + 1. */
export const PREV = 10
export const NEXT = 11
/** Skip events that end behind this slot's segment. */
export const MARKS = 12
/** The datagram (`epoch`) that acknowledged the segment. */
export const ACKED_IN = 13
/** 1: leads its run; 2: it did, and is gone from it. */
export const LEADS = 14
/** The flush (`flushes`) that found its RTO over. */
export const DUE_IN = 15

/** STATE: free, or acknowledged. */
export const GONE = 0
/** Admitted, never sent. */
export const UNSENT = 1
/** Sent once; its skips are in the marks. */
export const FIRST = 2
/** Carries its own skip count and is on the list. */
export const LISTED = 3
/** Queued: the first segment of a message that expires at RESEND_AT, and TS is its ticket. Others say nothing. */
export const EXPIRES = 4
