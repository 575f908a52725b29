vim9script
# Edits of documents that the language server asks for. Columns are bytes: that was agreed at the start.

# Applies a WorkspaceEdit; whether all of it could be. Files are not made, renamed or deleted here.
export def Apply(edit: dict<any>): bool
  var documents: list<dict<any>> = []
  for change in edit->get('documentChanges', [])
    if change->has_key('kind')
      return false
    endif
    documents->add({uri: change.textDocument.uri, edits: change.edits})
  endfor
  for [uri, edits] in edit->get('changes', {})->items()
    documents->add({uri: uri, edits: edits})
  endfor
  for one in documents
    const buffer = bufadd(PathOf(one.uri))
    bufload(buffer)
    ApplyTo(buffer, one.edits)
  endfor
  return true
enddef

def ApplyTo(buffer: number, edits: list<dict<any>>)
  # From the end, so that what comes before stays where it is.
  const ordered = edits->copy()->sort((a, b) => {
    const [one, other] = [a.range.start, b.range.start]
    return one.line == other.line ? other.character - one.character : other.line - one.line
  })
  for edit in ordered
    const [start, end] = [edit.range.start, edit.range.end]
    const count = getbufinfo(buffer)[0].linecount
    const first = getbufline(buffer, start.line + 1)->get(0, '')
    const last = getbufline(buffer, end.line + 1)->get(0, '')
    const text = first->strpart(0, start.character) .. edit.newText->substitute("\r", '', 'g') .. last->strpart(end.character)
    var lines = text->split("\n", true)
    # An end behind the last line: the last line's own end stays.
    if end.line >= count && lines->len() > 1 && lines[-1] == ''
      lines->remove(-1)
    endif
    const removed = min([end.line + 1, count]) - start.line
    appendbufline(buffer, min([end.line + 1, count]), lines)
    if removed > 0
      deletebufline(buffer, start.line + 1, start.line + removed)
    endif
  endfor
enddef

export def PathOf(uri: string): string
  return uri->substitute('^file://', '', '')->substitute('%\(\x\x\)', (m) => nr2char(('0x' .. m[1])->str2nr(16), false)->iconv('latin1', 'latin1'), 'g')
enddef
