/** The promises of the design, §11. What is measured stands beside them in the table; nothing here is a result. */
export const BUDGETS = {
  downgradeMs: 8_000,
  downgradeAimMs: 4_000,
  stepOverRawMs: 22,
  stepOverRawAimMs: 10,
  distanceMs: 20_000,
  distanceAimMs: 14_000,
  sqlStepMs: 2,
  sqlAfreshMs: 5,
  stepRoundTrips: 3,
  stepRoundTripsAim: 1,
  checkRoundTrips: 1,
  checkMs: 8,
  planMs: 100,
  catalogMs: 5_000,
  resumeOverHeartbeatMs: 2_000,
  eventsPerStep: 12,
  bytesPerStep: 4_096,
  fleetMb: 600,
  dataOverBare: 2,
  dataGrowthMb: 50,
};

/** Steps of the measured way in one database: the budgets in seconds hold for these and for no other subject. */
export const CORPUS_STEPS = { all: 309, main: 259 };

/** Published beside the budgets; another machine, the same downs. */
export const PEERS = [
  { what: '259 downs, loopback', raw: '1.05 s', goose: '1.1 s', golangMigrate: '1.7 s', nodePgMigrate: '1.8 s' },
  {
    what: '259 downs, 20 ms round trip',
    raw: '17.6 s',
    goose: '27.6 s',
    golangMigrate: '61.6 s',
    nodePgMigrate: '23.6 s',
  },
];
