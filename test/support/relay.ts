/** The demo's impairment relay, for live tests. */
export * from '../../demo/relay.ts'
