vim9script
# What the commands, keys and events of plugin/cloister.vim do: the suggestion that is on screen, and the chat.

import autoload 'cloister/server.vim'
import autoload 'cloister/edits.vim'

const TYPE = 'CloisterGhost'
const TURNS_MAX = 40

# The suggestion on screen; empty when there is none.
#   bufnr, lnum, col: where it begins (col in bytes, from 1); text: what is shown; suggestion: its id, or null
var ghost: dict<any> = {}
# The request for one that runs.
var asked: dict<any> = {}
# Typing what is shown moves the cursor, and asks no question of its own.
var shown: dict<bool> = {}

export def Attach(bufnr: number)
  server.Attach(bufnr)
enddef

export def Detach(bufnr: number)
  server.Detach(bufnr)
enddef

export def Saved(bufnr: number)
  server.Saved(bufnr)
enddef

export def Stop()
  server.Stop()
enddef

export def Restart()
  Hide()
  server.Stop()
  server.Attach(bufnr())
enddef

export def IsShown(): bool
  return !ghost->empty()
enddef

# The cursor moved, or the text changed, in insert mode: asks for a suggestion.
export def Moved()
  if !server.IsAttached(bufnr())
    return
  endif
  Hide()
  # The menu of completions has the place.
  if get(g:, 'cloister_automatic', 1) && !pumvisible()
    Ask(2)
  endif
enddef

# A person asks for one.
export def Suggest()
  if server.IsAttached(bufnr())
    Hide()
    Ask(1)
  endif
enddef

def Ask(kind: number)
  const [buffer, at, tick] = [bufnr(), getcurpos()[1 : 2], b:changedtick]
  server.Synchronise(buffer)
  const params = {
    textDocument: {uri: server.Uri(buffer)},
    position: {line: at[0] - 1, character: at[1] - 1},
    context: {triggerKind: kind},
  }
  if !asked->empty()
    server.Cancel(asked)
  endif
  asked = server.Request('textDocument/inlineCompletion', params, (result, error) => {
    asked = {}
    const isSame = bufnr() == buffer && getcurpos()[1 : 2] == at && b:changedtick == tick
    if error == '' && isSame && mode() =~ '^[iR]' && !pumvisible()
      Show(result)
    endif
  })
enddef

def Show(result: any)
  const items = type(result) == v:t_dict ? result->get('items', []) : type(result) == v:t_list ? result : []
  if items->empty()
    return
  endif
  const item = items[0]
  const [lnum, col] = getcurpos()[1 : 2]
  var text: string = item.insertText
  # What stands before the cursor of the range is in the text, too.
  if item->has_key('range')
    const standing = getline(lnum)->strpart(item.range.start.character, col - 1 - item.range.start.character)
    if item.range.start.line != lnum - 1 || text->stridx(standing) != 0
      return
    endif
    text = text->strpart(standing->len())
  endif
  text = text->substitute("\r", '', 'g')
  if text == ''
    return
  endif
  const behind = item->has_key('range') ? max([0, item.range.end.character - (col - 1)]) : 0
  const suggestion = item->get('command', {})->get('arguments', [{}])[0]->get('suggestion', null)
  ghost = {bufnr: bufnr(), lnum: lnum, col: col, text: text, behind: behind, suggestion: suggestion}
  Draw()
  if suggestion != null && !shown->has_key(string(suggestion))
    shown[string(suggestion)] = true
    Tell('cloister.shown', {suggestion: suggestion})
  endif
enddef

def Draw()
  if prop_type_get(TYPE)->empty()
    prop_type_add(TYPE, {highlight: 'CloisterGhost', combine: false})
  endif
  const lines = ghost.text->split("\n", true)
  if lines[0] != ''
    prop_add(ghost.lnum, ghost.col, {type: TYPE, text: lines[0]->Spaced()})
  endif
  for line in lines[1 :]
    prop_add(ghost.lnum, 0, {type: TYPE, text: line == '' ? ' ' : line->Spaced(), text_align: 'below'})
  endfor
enddef

# Virtual text has no tabulators of its own.
def Spaced(text: string): string
  return text->substitute("\t", repeat(' ', &tabstop), 'g')
enddef

export def Hide()
  if !ghost->empty()
    if bufexists(ghost.bufnr)
      prop_remove({type: TYPE, bufnr: ghost.bufnr, all: true})
    endif
    ghost = {}
  endif
enddef

export def Dismiss()
  const suggestion = ghost->get('suggestion', null)
  Hide()
  if suggestion != null
    Tell('cloister.rejected', {suggestion: suggestion})
  endif
enddef

# Takes the suggestion over: 'all', the next 'word' or the next 'line' of it.
export def Accept(how: string)
  if ghost->empty() || ghost.bufnr != bufnr()
    return
  endif
  const [now, whole] = [ghost, ghost.text]
  const taken = how == 'all' ? whole : whole->matchstr(how == 'word' ? '^\_s*\%(\k\+\|[^[:keyword:][:space:]]\+\)\|^\_s\+' : '^\n*[^\n]*')
  const isAll = taken->len() == whole->len()
  Hide()
  const line = getline(now.lnum)
  const before = line->strpart(0, now.col - 1)
  const behind = line->strpart(now.col - 1 + (isAll ? now.behind : 0))
  const lines = (before .. taken .. behind)->split("\n", true)
  setline(now.lnum, lines[0])
  append(now.lnum, lines[1 :])
  cursor(now.lnum + lines->len() - 1, lines[-1]->len() - behind->len() + 1)
  server.Synchronise(bufnr())
  if now.suggestion != null
    Tell('cloister.accepted', isAll ? {suggestion: now.suggestion} : {suggestion: now.suggestion, bytes: taken->len()})
  endif
  if !isAll
    ghost = now->extendnew({lnum: line('.'), col: col('.'), text: whole->strpart(taken->len())})
    Draw()
  endif
enddef

def Tell(command: string, argument: dict<any>)
  server.Request('workspace/executeCommand', {command: command, arguments: [argument]}, (_, _) => 0)
enddef

# The chat: a buffer of Markdown, and what was said so far.
var messages: list<dict<string>> = []
var chat = -1
var answering: dict<any> = {}

# Asks a question about the current file, or about the lines of a range; with `isNew` it begins a conversation.
export def Chat(words: string, lines: list<number>, isNew: bool)
  const question = words->trim() != '' ? words->trim() : input('Ask: ')->trim()
  if question == ''
    return
  endif
  const about = bufnr()
  server.Attach(about)
  server.Synchronise(about)
  if isNew
    messages = []
  endif
  messages = messages->add({role: 'user', content: question})[-TURNS_MAX :]
  var params: dict<any> = {id: 'vim-' .. reltime()->reltimestr()->trim(), messages: messages}
  if server.IsAttached(about)
    params.uri = server.Uri(about)
    if lines->empty()
      params.files = [params.uri]
    else
      const last = getbufoneline(about, lines[1])
      params.selection = {
        start: {line: lines[0] - 1, character: 0},
        end: {line: lines[1] - 1, character: last->len()},
      }
    endif
  endif
  if get(g:, 'cloister_deployment', '') != ''
    params.deployment = g:cloister_deployment
  endif
  OpenChat(isNew)
  Append((line('$') > 1 || getline(1) != '' ? ['', ''] : []) + ['# ' .. question->split("\n")[0]] + question->split("\n")[1 :] + [''])
  answering = {id: params.id, first: getbufinfo(chat)[0].linecount, text: ''}
  server.Request('cloister/chat', params, (result, error) => Answered(result, error))
enddef

# A piece of an answer.
export def Heard(params: dict<any>)
  if answering->get('id', '') == params->get('id', '')
    answering.text ..= params->get('text', '')
    Replace(answering.text->split("\n", true))
  endif
enddef

def Answered(result: any, error: string)
  if error != ''
    messages = messages[: -2]
    Replace(['(' .. error .. ')'])
  else
    messages->add({role: 'assistant', content: result.text})
    Replace(result.text->split("\n", true) + [''] + Findings(result))
  endif
  answering = {}
enddef

def Findings(result: dict<any>): list<string>
  const findings = result->get('findings', {})
  var lines = [printf('> record %s, %s. :CloisterExplain %s', result->get('record', '?'), result->get('deployment', ''), result->get('record', '?'))]
  for one in findings->get('sources', [])
    lines->add('> source: ' .. one->get('heading', one->get('path', '?')))
  endfor
  const provenance = findings->get('provenance', {})
  if type(provenance) == v:t_dict && !provenance->get('corpora', [])->empty()
    const told = provenance->get('matches', [])->copy()->filter((_, one) => !one->get('is_common', false))
    if told->empty()
      lines->add('> known code: no match in ' .. provenance.corpora->mapnew((_, one) => one->get('name', '?'))->join(', '))
    endif
    for one in told
      lines->add(printf('> known code: lines %d to %d, %s, %d lexemes, %s', one.lines[0], one.lines[1], one->get('kind', ''), one->get('lexemes', 0), one->get('licences', [])->join(', ')))
    endfor
  endif
  for one in findings->get('checks', [])
    lines->add(printf('> check: %s %s %s', one->get('checker', '?'), one->get('version', ''), one->get('outcome', '?')))
    for remark in one->get('remarks', [])[: 9]
      lines->add(printf('>   %s:%s: %s: %s', remark->get('line', ''), remark->get('column', ''), remark->get('severity', ''), remark->get('message', '')->substitute("\n", ' ', 'g')))
    endfor
  endfor
  return lines
enddef

def OpenChat(isNew: bool)
  if !bufexists(chat)
    chat = bufadd('Cloister chat')
    bufload(chat)
    setbufvar(chat, '&buftype', 'nofile')
    setbufvar(chat, '&bufhidden', 'hide')
    setbufvar(chat, '&swapfile', 0)
  endif
  if isNew
    deletebufline(chat, 1, '$')
  endif
  if bufwinid(chat) < 0
    execute 'botright vertical sbuffer' chat
    setlocal filetype=markdown wrap linebreak nonumber
    wincmd p
  endif
enddef

def Append(lines: list<string>)
  if getbufline(chat, 1, '$') == ['']
    setbufline(chat, 1, lines)
  else
    appendbufline(chat, '$', lines)
  endif
  Follow()
enddef

# Puts the answer that runs in place of what there is of it.
def Replace(lines: list<string>)
  deletebufline(chat, answering.first + 1, '$')
  appendbufline(chat, answering.first, lines)
  Follow()
enddef

def Follow()
  const window = bufwinid(chat)
  if window > 0
    win_execute(window, 'normal! G')
  endif
  redraw
enddef

# What the ledger has of an answer. The program itself prints it.
export def Explain(record: string)
  if record !~ '^\d\+$'
    echoerr 'Cloister: a record is a number'
    return
  endif
  const lines = server.Run(['explain', record])
  const name = 'Cloister record ' .. record
  execute 'botright split' fnameescape(name)
  setlocal buftype=nofile bufhidden=wipe noswapfile modifiable
  deletebufline('%', 1, '$')
  setline(1, lines)
  setlocal nomodifiable
enddef

export def Status()
  server.Attach(bufnr())
  server.Request('cloister/status', {}, (result, error) => {
    if error != ''
      echomsg 'Cloister:' error
    else
      for line in StatusLines(result)
        echomsg line
      endfor
    endif
  })
enddef

def StatusLines(status: dict<any>): list<string>
  if !status->get('reachable', false)
    return [printf('Cloister: %s does not answer: %s', status->get('server', 'the server'), status->get('error', ''))]
  endif
  var lines = [printf('Cloister: %s, version %s', status->get('server', ''), status->get('version', '?'))]
  for one in status->get('deployments', [])
    lines->add(printf('  %s: %s, %s', one->get('alias', '?'), one->get('name', ''), one->get('up', false) ? 'up' : 'down'))
  endfor
  const posture = status->get('posture', null)
  if type(posture) == v:t_dict
    lines->add(printf('  air gap: %s (record %s)', posture->get('outcome', '') == 'passed' ? 'held' : 'NOT HELD', posture->get('record', '?')))
  endif
  return lines
enddef

# What the language server offers to do with some lines.
export def Action(first: number, last: number)
  server.Attach(bufnr())
  server.Synchronise(bufnr())
  const params = {
    textDocument: {uri: server.Uri(bufnr())},
    range: {start: {line: first - 1, character: 0}, end: {line: last - 1, character: getline(last)->len()}},
    context: {diagnostics: []},
  }
  server.Request('textDocument/codeAction', params, (result, error) => {
    const actions = type(result) == v:t_list ? result : []
    if error != '' || actions->empty()
      echomsg 'Cloister:' (error == '' ? 'nothing is offered here' : error)
      return
    endif
    const titles = actions->mapnew((number, one) => printf('%d. %s', number + 1, one.title))
    const choice = inputlist(['Cloister:'] + titles)
    if choice >= 1 && choice <= actions->len()
      Act(actions[choice - 1])
    endif
  })
enddef

export def Act(action: dict<any>)
  if action->has_key('edit')
    edits.Apply(action.edit)
  endif
  # An action may be a command itself.
  const command = type(action->get('command', null)) == v:t_dict ? action.command : action
  if type(command->get('command', null)) == v:t_string
    const params = {command: command.command, arguments: command->get('arguments', [])}
    server.Request('workspace/executeCommand', params, (_, error) => {
      if error != ''
        echomsg 'Cloister:' error
      endif
    })
  endif
enddef
