"""First and last names, for callers to have and to spell, and for `gist` to know by sight.

A tenth of them is kept out of training (`names_of`), so that a test hears names the model has never been told.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

FIRST = frozenset(
    "aaron abby abigail adam adele adrian agnes ahmed aidan aisha alan albert alejandro alex alexander "
    "alexandra alfred "
    "alice alicia alison amanda amber amelia amir amy andrea andrew andy angela angus anita ann anna anne annette "
    "anthony antonio anya april arjun arthur asha ashley audrey ava barbara barry beatrice becky ben benjamin "
    "bernard "
    "beth betty beverly bill blake bob bonnie brad bradley brandon brenda brian bridget bruce bryan caleb calvin "
    "cameron camille carl carla carlos carmen carol caroline carter catherine cecilia chad charles charlotte cheng "
    "chloe chris christian christina christine christopher claire clara clarence claudia clifford clive cody colin "
    "connor craig crystal curtis cynthia daisy dale damian dana daniel daniela danielle darren dave david dawn "
    "deborah debbie declan deepak denise dennis derek diana diane diego dmitri dominic donald donna dora doris "
    "dorothy doug douglas dylan edith edward edwin eileen elaine eleanor elena eli elijah elizabeth ella ellen ellie "
    "elliot emily emma eric erica erin esther ethan eugene eva evan evelyn faith farah fatima felicity felix "
    "fernando "
    "finn fiona florence frances francesca francis frank fred freya gabriel gareth gary gavin gemma geoffrey george "
    "georgia gerald gina glen gloria gordon graham greg gregory greta guy gwen hamza hannah harold harriet harry "
    "harvey hassan hazel heather hector heidi helen henry hilary holly howard hugh hugo ian ibrahim imogen ingrid "
    "irene iris isaac isabel isabella isla ivan ivy jack jackie jackson jacob jacqueline jade jake jamal james jamie "
    "jan jane janet janice jared jasmine jason javier jay jean jeff jeffrey jenna jennifer jenny jeremy jerome jerry "
    "jesse jessica jill jim joan joanna joanne joe joel john johnny jon jonah jonathan jordan jorge jose joseph "
    "joshua joyce juan judith judy julia julian julie justin kai karen karim karl kate katherine kathleen kathy "
    "katie "
    "kay keith kelly ken kenneth kevin kim kimberly kirsty kurt kyle lara larry laura lauren laurence layla leah lee "
    "leila leo leon leonard leslie lewis liam lily linda lisa lloyd logan lola lorraine louis louise lucas lucy luis "
    "luke lydia lynn mabel madison malcolm manuel marcia marco marcus margaret maria marian marie marilyn mario "
    "marion "
    "marjorie mark marta martha martin marvin mary mason matt matthew maureen max maya megan mei melanie melissa "
    "mercedes mia michael michelle miguel mike mila miles milo miranda miriam mohammed moira molly monica "
    "morgan moses "
    "muriel nadia nancy naomi natalie natasha nathan neil nell nicholas nick nicola nicole nigel nikhil nina "
    "noah noel "
    "nora norma norman oliver olivia omar oscar otis owen pablo paige pamela patricia patrick paul paula "
    "pauline pedro "
    "peggy penelope penny percy peter phil philip phoebe phyllis polly priya quentin rachel rafael raj ralph ramona "
    "randy raymond rebecca reggie renee rhys ricardo richard rick rita rob robert roberta robin rodney roger roland "
    "ronald rory rosa rose rosemary ross rowan roxanne roy ruby rupert russell ruth ryan sabrina sadie sally sam "
    "samantha samir samuel sandra sandy sanjay sara sarah scott sean sebastian serena seth shannon sharon shaun "
    "sheila "
    "shirley sidney silvia simon sofia sonia sophia sophie stacy stanley stefan stella stephanie stephen steve "
    "steven "
    "stuart sunil susan suzanne sylvia tamara tania tanya tara ted teresa terry tessa theo theodore thomas "
    "tiffany tim "
    "timothy tina toby todd tom tony tracy travis trevor tristan tyler ursula valerie vanessa vera vernon veronica "
    "victor victoria vikram vincent viola violet virginia vivian wade walter wanda warren wayne wendy wesley wilfred "
    "william willow xavier yasmin yolanda yuki yusuf yvonne zachary zara zoe".split()
)
LAST = frozenset(
    "abbott adams ahmed alexander allen anderson andrews armstrong arnold atkinson bailey baker ball banks barker "
    "barnes barrett bates baxter becker bell bennett berry bishop black blackwell blair bolton booth bowen "
    "bowman boyd "
    "bradford bradley brady brennan briggs brooks brown bryant buchanan buckley burgess burke burns burton bush "
    "butler "
    "byrne caldwell cameron campbell cannon carlson carpenter carr carroll carson carter castillo castro "
    "chambers chan "
    "chandler chang chapman chavez chen christensen church clark clarke clayton coleman collins connolly conway cook "
    "cooper cox craig crawford cross cruz cunningham curtis dalton daly daniels davidson davies davis dawson "
    "day dean "
    "delgado diaz dixon dobson doherty donovan douglas doyle drake duffy duncan dunn edwards elliott ellis evans "
    "farrell ferguson fernandez fischer fisher fitzgerald fleming fletcher flores flynn foley forbes ford foster "
    "fowler fox francis franklin fraser freeman friedman fuller garcia gardner garner garrett george gibbs gibson "
    "gilbert giles gill glover gomez gonzalez goodman goodwin gordon graham grant graves gray green greene greenwood "
    "gregory griffin griffiths gupta gutierrez hale hall hamilton hammond hancock hansen harding hardy harper harris "
    "harrison hart harvey hawkins hayes henderson henry hernandez herrera hicks higgins hill hoffman holland holmes "
    "holt hopkins horton houston howard howell hudson hughes hunt hunter hussain hutchinson ibrahim ingram irwin "
    "jackson jacobs james jarvis jenkins jennings jensen jimenez johnson johnston jones jordan joseph kaminski kane "
    "kapoor kaur keller kelly kennedy kerr khan kim king kirby klein knight kowalski kumar lamb lambert lane larson "
    "lawrence lawson leach lee lewis li lin lindsay little liu lloyd logan lopez lowe lucas lynch macdonald "
    "mackenzie "
    "maguire mahoney malone mann manning marsh marshall martin martinez mason matthews maxwell mccarthy mcdonald "
    "mcgrath mckenzie mclean medina mehta mendoza meyer miller mills mitchell mohamed molina moore morales moran "
    "moreno morgan morris morrison morton moss mueller muller murphy murray myers nash nelson newman newton nguyen "
    "nichols nolan norris north norton novak obrien oconnor odonnell okafor oliver olsen olson oneill ortega ortiz "
    "osborne owens page palmer park parker parsons patel patterson payne pearce pearson perez perkins perry peters "
    "petersen peterson pham phillips pierce poole porter potter powell pratt preston price quinn ramirez ramos "
    "randall "
    "rao ray reed reid reilly reyes reynolds rhodes rice richards richardson riley rivera roberts robertson robinson "
    "rodriguez rogers romero rosen ross rossi rowe ruiz russell ryan salazar sanchez sanders santiago santos "
    "saunders "
    "schmidt schneider schultz schwartz scott sharma sharp shaw shelton shepherd sheppard silva simmons simpson sims "
    "singh slater sloan smith snyder soto spencer stafford stanley steele stephens stevens stevenson stewart stokes "
    "stone sullivan summers sutton swanson sweeney tanaka tate taylor thomas thompson thomson thornton tran tucker "
    "turner tyler underwood vargas vasquez vaughan vega wagner walker wallace walsh walters walton wang ward warner "
    "warren watkins watson watts weaver webb weber webster weiss welch wells west wheeler whitaker white wilkins "
    "wilkinson williams williamson willis wilson winters wong wood woods woodward wright wu yang yates york young "
    "zhang zimmerman".split()
)
ALSO_WORDS = frozenset(
    "april ava baker ball banks bell berry bill bishop black bob bonnie booth brooks brown burns bush butler cannon "
    "carpenter carter chad chambers chan church cook cooper crawford cross dale dawn day dean drake faith "
    "fisher fleming "
    "ford foster fowler fox frank freeman fuller gardener gardner gill glover grant graves gray green guy hale "
    "hall hardy "
    "harper hart hazel heather hill holly hope hunt hunter iris ivy jack jade jan jay joy king knight lamb lane "
    "lee li lily lin little long lowe mark marsh mason max may melody miles mills moss north norm page park parker "
    "parsons pat peg penny pierce poole porter potter price randy ray reed rich rob robin rose ross rowe ruby rusty "
    "sandy sharp sierra singer spencer steele stone summers sue ted tina tate tucker turner viola violet wade ward "
    "wanda warren weaver webb wells west wheeler white will willow winters wood woods wright york young".split()
)
"""Names that are words, too: a name only beside another one or where one is announced."""
NAMES = FIRST | LAST


@lru_cache(maxsize=8)
def names_of(split: str, last: bool = False) -> tuple[str, ...]:
    """The names that `split` may use: every tenth is for `test` alone."""
    names = LAST if last else FIRST
    held = {name for name in names if hashlib.sha256(name.encode()).digest()[1] < 26}
    return tuple(sorted(held if split == "test" else names - held))
