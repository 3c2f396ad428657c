// DuckDB over newline-delimited JSON: the queries of compare_replay.py. Run where @duckdb/node-api is installed:
//   node duck_replay.mjs FILE.ndjson EVENTS THREADS page|minute|filter|groups|join|session     prints events/s and ns of processor time an event
import { createRequire } from 'node:module';
const require = createRequire(process.cwd() + '/');
const { DuckDBInstance } = require('@duckdb/node-api');
const [file, events, threads, query] = process.argv.slice(2);
const source = `read_json('${file}', format='newline_delimited', columns={ts:'BIGINT',page:'VARCHAR',bytes:'BIGINT'})`;
const users = source.replace("page:'VARCHAR'", "user:'VARCHAR',page:'VARCHAR'");
const queries = {
  page: `SELECT page, count(*), sum(bytes) FROM ${source} GROUP BY page`,
  minute: `SELECT date_trunc('minute', make_timestamp(ts*1000)) m, page, count(*), sum(bytes) FROM ${source} GROUP BY m, page`,
  filter: `SELECT page, bytes FROM ${source} WHERE bytes < 260`,
  groups: `CREATE TABLE t AS SELECT "user", bytes % 10 AS b, count(*), sum(bytes) FROM ${users} GROUP BY ALL`,
  join: `SELECT p.owner, count(*), sum(e.bytes) FROM ${source} e JOIN pages p ON e.page = p.page GROUP BY p.owner`,
  session: `CREATE TABLE t AS SELECT page, min(ts), max(ts) + 1000, count(*) FROM (
    SELECT page, ts, sum(CASE WHEN ts - before <= 1000 THEN 0 ELSE 1 END) OVER (PARTITION BY page ORDER BY ts) AS number
    FROM (SELECT page, ts, lag(ts) OVER (PARTITION BY page ORDER BY ts) AS before FROM ${source})) GROUP BY page, number`,
};
const instance = await DuckDBInstance.create(':memory:', { autoinstall_known_extensions: 'false', autoload_known_extensions: 'false' });
const connection = await instance.connect();
await connection.run(`SET threads=${threads}`);
await connection.run(`CREATE TABLE pages AS SELECT format('/p/{:04d}', i) AS page, 'o' || (i % 50) AS owner FROM range(1000) t(i)`);
const cpu = process.cpuUsage();
const start = process.hrtime.bigint();
const result = await connection.runAndReadAll(queries[query]);
const seconds = Number(process.hrtime.bigint() - start) / 1e9;
const used = process.cpuUsage(cpu);
if (result.currentRowCount === 0) process.exit(1);
console.log(Math.round(Number(events) / seconds), Math.round(((used.user + used.system) * 1000) / Number(events)));
