const THREE_DIGITS = Array.from({ length: 1_000 }, (_, number) => String(number).padStart(3, '0'))

/** Prints whole numbers that begin alike, as times do. */
class WholeTexts {
  private millions = -1
  private millionsText = ''

  of(value: number): string {
    const millions = Math.floor(value / 1e6)
    if (!(millions > 0 && value < 2 ** 53)) return String(value)
    if (millions !== this.millions) {
      this.millions = millions
      this.millionsText = String(millions)
    }
    const rest = value - millions * 1e6
    const thousands = Math.floor(rest / 1e3)
    const units = THREE_DIGITS[rest - thousands * 1e3]
    // An index that is no whole number has no text.
    return units === undefined ? String(value) : this.millionsText + THREE_DIGITS[thousands]! + units
  }
}

const times = new WholeTexts()
const numbers = new WholeTexts()

/** The digits of a time in microseconds. */
export function timeText(timeUs: number): string {
  return times.of(timeUs)
}

/** The digits of a sequence number. */
export function seqText(seq: number): string {
  return numbers.of(seq)
}
