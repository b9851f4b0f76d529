import { readFile } from 'node:fs/promises'
import { arrow } from '../../src/sinks/arrow'
import { conformsAsSink, type Row } from './conformance'
import { arrowRows } from './columns'

conformsAsSink('arrow', {
  keeps: 'all',
  create: (folder) => ({
    sink: arrow<Row>('out/rows.arrows'),
    read: async () => arrowRows(await readFile(folder.file('rows.arrows'))) as unknown as Row[],
    breakIt: () => folder.vanish(),
    repairIt: () => folder.comeBack(),
  }),
})
