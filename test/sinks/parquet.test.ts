import { expect } from 'chai'
import { readdir } from 'node:fs/promises'
import { parquet } from '../../src/sinks/parquet'
import { conformsAsSink, type Row } from './conformance'
import { query, sqlText } from './columns'

conformsAsSink('parquet', {
  keeps: 'all',
  create: (folder) => ({
    sink: parquet<Row>('out/rows.parquet'),
    read: async () => {
      expect(await readdir(folder.outDir)).to.deep.equal(['rows.parquet'])
      return (await query(`FROM ${sqlText(folder.file('rows.parquet'))}`)) as unknown as Row[]
    },
    breakIt: () => folder.vanish(),
    repairIt: () => folder.comeBack(),
  }),
})

conformsAsSink('parquet in partitions', {
  keeps: 'all',
  create: (folder) => ({
    sink: parquet<Row>('out/rows', { partition: ['text'], partitionsOpen: 2 }),
    read: async () =>
      (await query(
        `SELECT n, text FROM read_parquet(${sqlText(folder.file('rows/**/*.parquet'))}, hive_partitioning = true) ORDER BY n`,
      )) as unknown as Row[],
    breakIt: () => folder.vanish(),
    repairIt: () => folder.comeBack(),
  }),
})
